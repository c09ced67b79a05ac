"""Create the rows that a test starts with."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask

from {{ cookiecutter.project_slug }}.notes import new_note, queries


def make_note(
    app: Flask, title: str = "Milk", body: str = "Two litres", tags: Iterable[str] = ()
) -> int:
    """Save a note, and return its id."""
    with app.app_context():
        queries.save_note(note := new_note(), title=title, body=body, tag_names=tags)
        return note.id
