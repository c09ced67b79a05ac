"""The example, to learn from or to delete: notes with tags."""
