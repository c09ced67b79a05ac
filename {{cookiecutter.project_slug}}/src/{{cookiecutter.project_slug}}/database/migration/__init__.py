"""How `flask db` migrates: what it writes, what it refuses, and how revisions are applied."""
