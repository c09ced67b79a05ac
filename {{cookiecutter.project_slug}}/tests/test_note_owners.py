"""Each person has notes of their own."""

from __future__ import annotations

from account_factories import log_in, make_account
from flask import Flask
from flask.testing import FlaskClient
from forms import Form, submit
from note_factories import make_note
from sqlalchemy import select

from {{ cookiecutter.project_slug }}.database import db
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag

OWN = ["/notes/{}", "/notes/{}/edit", "/notes/{}/delete"]


def test_notes_of_other_accounts_are_not_found(app: Flask, client: FlaskClient) -> None:
    note_id = make_note(app)
    make_account(app, "ben@example.com")
    ben = log_in(app, "ben@example.com")
    form = {"csrf_token": Form(ben.get("/notes/new").text).fields["csrf_token"], "title": "x"}

    for route, posted in zip(OWN, [405, 404, 404], strict=True):
        path = route.format(note_id)
        assert client.get(path).status_code == 200
        assert ben.get(path).status_code == 404
        assert ben.post(path, data=form).status_code == posted
    assert "Milk" not in ben.get("/notes").text
    assert "Milk" not in ben.get("/notes?q=milk").text
    assert "Milk" in client.get("/notes").text


def test_notes_need_a_log_in(app: Flask) -> None:
    note_id = make_note(app)

    for path in ("/notes", "/notes/new", *OWN):
        answer = app.test_client().get(path.format(note_id))
        assert answer.status_code == 302
        assert answer.location.startswith("/accounts/login?next=")


def test_deleting_an_account_deletes_its_notes_and_tags(app: Flask, client: FlaskClient) -> None:
    make_note(app, tags=["mine", "shared"])
    make_account(app, "ben@example.com")
    submit(log_in(app, "ben@example.com"), "/notes/new", title="Ben", tags="shared")

    submit(client, "/accounts/delete")

    with app.app_context():
        assert db.session.scalars(select(Note.title)).all() == ["Ben"]
        assert db.session.scalars(select(Tag.name)).all() == ["shared"]


def test_notes_are_not_cached_for_others(client: FlaskClient) -> None:
    assert client.get("/notes").cache_control.private


def test_the_account_is_loaded_only_where_it_is_needed(
    client: FlaskClient, statements: list[str]
) -> None:
    statements.clear()
    with client.get("/static/icon.svg"):
        assert len(statements) == 0
    client.get("/notes")
    assert len(statements) == 2  # the account with its roles, and the notes
