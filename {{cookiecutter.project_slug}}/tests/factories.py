"""Make the rows that a test begins with."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask

from {{ cookiecutter.project_slug }}.notes import queries
from {{ cookiecutter.project_slug }}.notes.models import Note


def make_note(
    app: Flask, title: str = "Milk", body: str = "Two litres", tags: Iterable[str] = ()
) -> int:
    """Save a note, and give its id."""
    with app.app_context():
        queries.save(note := Note(), title=title, body=body, tags=tags)
        return note.id
