"""The example: notes with tags. The README says how to delete it."""

from .pages import blueprint

__all__ = ["blueprint"]
