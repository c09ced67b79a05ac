"""The example: notes with tags. The README says how to delete it."""
