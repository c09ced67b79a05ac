"""Notes are written and read."""

from __future__ import annotations

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from {{ cookiecutter.project_slug }}.database import db, migrate
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag


def write(client: FlaskClient, title: str = "Milk", body: str = "", tags: str = "") -> int:
    return client.post("/notes/new", data={"title": title, "body": body, "tags": tags}).status_code


def test_without_notes_the_list_says_so(client: FlaskClient) -> None:
    assert "There are none yet." in client.get("/notes").text


def test_a_new_note_is_shown_and_listed(client: FlaskClient) -> None:
    data = {"title": "Milk & bread", "body": "Two litres", "tags": "shop, today, shop"}
    page = client.post("/notes/new", data=data, follow_redirects=True).text

    assert "Milk &amp; bread" in page
    assert "Two litres" in page
    assert page.count("#shop") == page.count("#today") == 1
    assert "Milk &amp; bread" in client.get("/notes").text


def test_notes_share_their_tags(app: Flask, client: FlaskClient) -> None:
    write(client, tags="shop")
    write(client, tags="shop, today")

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Tag)) == 2


def test_a_long_list_has_pages(client: FlaskClient) -> None:
    for number in range(21):
        write(client, title=f"Note {number}")

    assert "Note 0<" not in client.get("/notes").text
    assert "Note 0<" in client.get("/notes?page=2").text


@pytest.mark.parametrize("title", ["", "   "])
def test_a_note_without_a_title_is_not_stored(app: Flask, client: FlaskClient, title: str) -> None:
    assert write(client, title=title) == 422

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Note)) == 0


def test_a_tag_that_is_too_long_is_explained(client: FlaskClient) -> None:
    page = client.post(
        "/notes/new", data={"title": "Milk", "tags": "x" * (Tag.name.type.length + 1)}
    ).text

    assert "A tag has at most" in page


def test_the_form_is_shown(client: FlaskClient) -> None:
    assert "<form" in client.get("/notes/new").text


def test_a_note_needs_no_more_than_a_title(client: FlaskClient) -> None:
    assert client.post("/notes/new", data={"title": "Milk"}).status_code == 302


def test_upgrades_keep_the_notes_there_are(empty_app: Flask) -> None:
    with empty_app.app_context():
        first = ScriptDirectory(migrate.directory).get_base()
        flask_migrate.upgrade(revision=str(first))
        with db.engine.begin() as connection:
            connection.execute(text("INSERT INTO note (title, body) VALUES ('Milk', 'Two litres')"))

        flask_migrate.upgrade()

        assert db.session.scalars(select(Note.title)).all() == ["Milk"]
        db.session.remove()


@pytest.mark.parametrize("path", ["/notes/1", f"/notes/{10**30}", f"/notes?page={10**30}"])
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
