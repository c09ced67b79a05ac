"""Notes are found, and saved whole or not at all."""

from __future__ import annotations

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from client_fixtures import NOTE_ROWS
from flask import Flask
from note_factories import make_note
from sqlalchemy import func, select, text
from sqlalchemy.orm.exc import StaleDataError

from {{ cookiecutter.project_slug }}.database import db, migrate
from {{ cookiecutter.project_slug }}.notes import queries
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag


def test_a_note_is_shown_by_its_title() -> None:
    assert str(Note(title="Milk")) == "Milk"


def test_notes_are_found_by_title_text_and_tag(app: Flask) -> None:
    milk = make_note(app, "Milk", "two litres", ["shop", "today"])
    bread = make_note(app, "Bread", "MILK bread", ["shop"])
    make_note(app, "100 %", "_")

    def found(**criteria: str) -> list[int]:
        notes = queries.list_notes(limit=10, **criteria)  # type: ignore[arg-type]
        return [note.id for note in notes]

    with app.app_context():
        assert found(search="milk") == [bread, milk]
        assert found(tag="today") == [milk]
        assert found(search="two", tag="shop") == [milk]
        assert len(found(search="%")) == len(found(search="_")) == 1


def test_the_number_of_queries_does_not_grow_with_the_notes(
    app: Flask, statements: list[str]
) -> None:
    for number in range(5):
        make_note(app, tags=["shop", str(number)])

    with app.app_context():
        statements.clear()
        notes = queries.list_notes(limit=5)
        assert [len(note.tags) for note in notes] == [2] * 5
        assert len(statements) == 2  # the notes, and all their tags


def test_notes_share_their_tags(app: Flask) -> None:
    make_note(app, tags=["shop"])
    make_note(app, tags=["shop", "today"])

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Tag)) == 2


def test_a_tag_that_somebody_makes_at_the_same_moment_is_taken(app: Flask) -> None:
    with app.app_context():
        db.session.add(Tag(name="shop"))
        db.session.flush()

        assert queries._get_or_create_tag("shop").id
        assert db.session.scalar(select(func.count()).select_from(Tag)) == 1


def test_a_change_of_the_tags_alone_is_a_new_version(app: Flask) -> None:
    note_id = make_note(app, "Milk", "", ["shop"])

    with app.app_context():
        note = db.get_or_404(Note, note_id)
        queries.save_note(note, title="Milk", body="", tag_names=["today"])

        assert note.version == 2


def test_a_note_that_was_changed_meanwhile_is_not_overwritten(app: Flask) -> None:
    note_id = make_note(app)

    with app.app_context():
        note = db.get_or_404(Note, note_id)
        db.session.execute(text("UPDATE note SET title = 'Bread', version = 2"))
        db.session.commit()
        with pytest.raises(StaleDataError):
            queries.save_note(note, title="Beer", body="", tag_names=["shop"])
        db.session.rollback()

        assert db.session.scalar(select(Note.title)) == "Bread"
        assert not db.session.scalar(select(Tag))


def test_upgrades_keep_the_notes_there_are(empty_app: Flask) -> None:
    with empty_app.app_context():
        first = ScriptDirectory(migrate.directory).get_base()
        flask_migrate.upgrade(revision=str(first))
        with db.engine.begin() as connection:
            for statement in NOTE_ROWS:
                connection.execute(text(statement))

        flask_migrate.upgrade()

        assert db.session.scalars(select(Note.title)).all() == ["Milk"]
        db.session.remove()
