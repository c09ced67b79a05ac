"""Create the rows that a test starts with."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask

from {{ cookiecutter.project_slug }}.notes import queries
from {{ cookiecutter.project_slug }}.notes.models import Note


def make_note(
    app: Flask, title: str = "Milk", body: str = "Two litres", tags: Iterable[str] = ()
) -> int:
    """Save a note, and return its id."""
    with app.app_context():
        queries.save_note(note := Note(), title=title, body=body, tag_names=tags)
        return note.id
