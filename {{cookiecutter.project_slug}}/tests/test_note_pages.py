"""Notes are read and written on pages, through their forms."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from forms import submit
from note_factories import make_note
from sqlalchemy import select, text

from {{ cookiecutter.project_slug }}.database import db
from {{ cookiecutter.project_slug }}.notes import models, queries
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag


def titles(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Note.title).order_by(Note.id)))


def test_without_notes_the_list_says_so(client: FlaskClient) -> None:
    assert "There are no notes yet." in client.get("/notes").text
    assert "No notes were found." in client.get("/notes?q=milk").text


def test_a_new_note_is_shown_and_listed(client: FlaskClient) -> None:
    page = submit(
        client, "/notes/new", title="Milk & bread", body="Two litres", tags="shop, today, shop"
    ).text

    assert "“Milk &amp; bread” was saved." in page
    assert "Two litres" in page
    assert page.count("#shop") == page.count("#today") == 1
    assert "Milk &amp; bread" in client.get("/notes").text


def test_a_note_is_changed(app: Flask, client: FlaskClient) -> None:
    path = f"/notes/{make_note(app, 'Milk', tags=['shop', 'today'])}/edit"

    page = submit(client, path, title="Bread", tags="today").text

    assert "Two litres" in page
    assert "#shop" not in page
    assert titles(app) == ["Bread"]


def test_a_note_is_deleted_after_a_question(app: Flask, client: FlaskClient) -> None:
    path = f"/notes/{make_note(app)}/delete"
    assert "Delete “Milk”?" in client.get(path).text
    assert client.head(path).status_code == 200
    assert titles(app) == ["Milk"]

    assert "“Milk” was deleted." in submit(client, path).text
    assert titles(app) == []


def test_of_two_who_change_a_note_the_second_is_told(app: Flask, client: FlaskClient) -> None:
    path = f"/notes/{make_note(app)}/edit"
    seen_before = "1"
    submit(client, path, title="Bread")

    response = submit(client, path, title="Beer", version=seen_before)

    assert response.status_code == 409
    assert "This note was changed after you opened it" in response.text
    assert 'value="Beer"' in response.text
    assert titles(app) == ["Bread"]


def test_of_two_at_the_same_moment_the_second_is_told(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/notes/{make_note(app)}/delete"

    def change_first(note: Note) -> None:
        db.session.execute(text("UPDATE note SET version = 2"))
        db.session.delete(note)
        db.session.commit()

    monkeypatch.setattr(queries, "delete_note", change_first)

    assert submit(client, path).status_code == 409
    assert titles(app) == ["Milk"]


def test_a_long_list_has_pages(client: FlaskClient, app: Flask) -> None:
    oldest, *_ = [make_note(app, f"Note {number}") for number in range(21)]

    first = client.get("/notes?q=note").text
    assert "Note 0<" not in first
    assert "before=" in first

    last = client.get(f"/notes?q=note&before={oldest + 1}").text
    assert "Note 0<" in last
    assert "before=" not in last
    assert "Newest" in last


def test_the_list_is_searched(client: FlaskClient, app: Flask) -> None:
    make_note(app, "Milk", tags=["shop"])
    make_note(app, "Bread")

    assert "Bread" not in client.get("/notes?q=milk").text
    assert "Bread" not in client.get("/notes?tag=shop&q=m").text


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("title", "", "This field is required."),
        ("title", "   ", "This field is required."),
        ("title", "x" * (Note.title.type.length + 1), "longer than"),
        ("title", "a\0b", "Remove the control characters"),
        ("body", "x" * (models.MAX_BODY_LENGTH + 1), "longer than"),
        ("body", "a\x1bb", "Remove the control characters"),
        ("tags", "x" * (Tag.name.type.length + 1), "A tag can have at most"),
        ("tags", ",".join(map(str, range(models.MAX_TAGS + 1))), "A note can have at most"),
    ],
)
def test_what_cannot_be_stored_is_explained(
    app: Flask, client: FlaskClient, field: str, value: str, reason: str
) -> None:
    response = submit(client, "/notes/new", **{"title": "Milk", field: value})

    assert response.status_code == 422
    assert reason in response.text
    assert 'aria-invalid="true"' in response.text
    assert titles(app) == []


def test_markup_is_shown_as_it_was_typed(client: FlaskClient) -> None:
    page = submit(client, "/notes/new", title="<script>alert(1)</script>").text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page


def test_without_the_token_of_the_form_nothing_is_stored(app: Flask, client: FlaskClient) -> None:
    response = client.post("/notes/new", data={"title": "Milk", "body": "</textarea>"})

    assert response.status_code == 400
    assert "The CSRF token is missing." in response.text
    assert ">Milk</textarea>" in response.text  # so that it can be copied
    assert ">&lt;/textarea&gt;</textarea>" in response.text
    assert titles(app) == []


@pytest.mark.parametrize(
    "path", ["/notes/1", "/notes/1/edit", "/notes/1/delete", f"/notes/{10**30}"]
)
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("before", [-(10**30), 0, 10**30, "x"])
def test_any_place_in_the_list_can_be_asked_for(client: FlaskClient, before: object) -> None:
    assert client.get(f"/notes?before={before}").status_code == 200


def test_a_search_for_what_is_no_text_is_refused(client: FlaskClient) -> None:
    assert client.get("/notes?q=%00").status_code == 400
