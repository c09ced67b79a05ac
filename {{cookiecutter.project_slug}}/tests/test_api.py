"""The JSON API: how it answers, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from {{ cookiecutter.project_slug }}.api import LARGEST_BODY
from {{ cookiecutter.project_slug }}.database import db, revisions
from {{ cookiecutter.project_slug }}.notes import api as notes_api
from {{ cookiecutter.project_slug }}.notes import models
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag

MILK = {"title": "Milk", "body": "Two litres", "tags": ["shop"]}

{% if cookiecutter.accounts == "yes" %}
@pytest.fixture
def client(client: FlaskClient) -> FlaskClient:
    """A program with a token of Ann's, but no cookie."""
    client.delete_cookie("session")
    return client

{% endif %}
def create(client: FlaskClient, **values: object) -> TestResponse:
    return client.post("/api/notes", json=MILK | values)


def titles(client: FlaskClient, path: str = "/api/notes") -> list[str]:
    return [note["title"] for note in client.get(path).json["items"]]  # type: ignore[index]


def test_a_new_note_can_be_read_where_its_location_says(client: FlaskClient) -> None:
    created = create(client)
    assert created.status_code == 201

    read = client.get(created.location)

    assert read.json == created.json
    assert read.headers["ETag"] == created.headers["ETag"]
    assert read.json is not None
    assert {name: read.json[name] for name in MILK} == MILK


def test_a_note_needs_no_more_than_a_title(client: FlaskClient) -> None:
    created = client.post("/api/notes", json={"title": "  Milk "}).json

    assert created is not None
    assert (created["title"], created["body"], created["tags"]) == ("Milk", "", [])


def test_the_newest_notes_come_first(client: FlaskClient) -> None:
    create(client, title="Milk")
    create(client, title="Bread")

    assert titles(client) == ["Bread", "Milk"]


def test_notes_are_found_by_their_text_and_their_tags(client: FlaskClient) -> None:
    create(client, title="Milk", tags=["shop"])
    create(client, title="100 %", body="milk", tags=["today"])

    assert titles(client, "/api/notes?q=MILK") == ["100 %", "Milk"]
    assert titles(client, "/api/notes?q=%25") == ["100 %"]
    assert titles(client, "/api/notes?tag=shop") == ["Milk"]


def test_each_part_of_a_long_list_leads_to_the_next(client: FlaskClient) -> None:
    for number in range(5):
        create(client, title=str(number), tags=["a & b"])
    path, read = "/api/notes?limit=2&tag=a+%26+b", []

    for _ in range(3):
        page = client.get(path)
        assert page.json is not None
        read += [note["title"] for note in page.json["items"]]
        path = page.json["next"]
        assert page.headers.get("Link") == (f'<{path}>; rel="next"' if path else None)

    assert path is None
    assert read == ["4", "3", "2", "1", "0"]


def test_a_note_that_the_client_has_is_not_sent_again(client: FlaskClient) -> None:
    created = create(client)

    again = client.get(created.location, headers={"If-None-Match": created.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == created.headers["ETag"]


def test_a_note_is_replaced_by_who_has_read_it(client: FlaskClient) -> None:
    created = create(client)
    tag = {"If-Match": created.headers["ETag"]}

    replaced = client.put(created.location, json={"title": "Bread"}, headers=tag)

    assert replaced.json is not None
    assert (replaced.json["title"], replaced.json["body"], replaced.json["tags"]) == (
        "Bread",
        "",
        [],
    )
    assert client.get(created.location).headers["ETag"] == replaced.headers["ETag"]


def test_a_note_is_deleted_by_who_has_read_it(client: FlaskClient) -> None:
    created = create(client)

    deleted = client.delete(created.location, headers={"If-Match": created.headers["ETag"]})

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert client.get(created.location).status_code == 404


def change(client: FlaskClient, path: str, method: str, tag: str | None) -> TestResponse:
    headers = {"If-Match": tag} if tag else {}
    return client.open(path, method=method, json={"title": "Mine"}, headers=headers)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_without_an_etag_is_refused(client: FlaskClient, method: str) -> None:
    assert change(client, create(client).location, method, None).status_code == 428
    assert titles(client) == ["Milk"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nobody_overwrites_what_they_have_not_read(client: FlaskClient, method: str) -> None:
    created = create(client)
    read = created.headers["ETag"]
    assert change(client, created.location, "PUT", read).status_code == 200

    assert change(client, created.location, method, read).status_code == 412
    assert titles(client) == ["Mine"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_of_two_changes_at_once_the_second_is_refused(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    created = create(client)
    get = notes_api._get

    def get_before_another_changes(note_id: int) -> Note:
        note = get(note_id)
        db.session.execute(text("UPDATE note SET title = 'Theirs', version = version + 1"))
        return note

    monkeypatch.setattr(notes_api, "_get", get_before_another_changes)
    answer = change(client, created.location, method, created.headers["ETag"])

    assert answer.status_code == 412
    assert answer.json is not None
    assert "Read it again" in answer.json["detail"]


@pytest.mark.parametrize("note_id", ["0", "1", str(2**31), "9" * 5000, "-1", "one"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_note_that_is_not_there_is_not_found(
    client: FlaskClient, method: str, note_id: str
) -> None:
    answer = change(client, f"/api/notes/{note_id}", method, "*")

    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": answer.json and answer.json["detail"],
        "instance": f"/api/notes/{note_id}",
    }
    assert answer.content_type == "application/problem+json"


def problem(answer: TestResponse) -> dict[str, Any]:
    """The content of an answer that has to be a problem."""
    assert answer.content_type == "application/problem+json"
    content: dict[str, Any] = json.loads(answer.data)
    assert content["status"] == answer.status_code
    return content


INVALID: list[tuple[object, str]] = [
    ({}, "#/title"),
    ({"title": None}, "#/title"),
    ({"title": 1}, "#/title"),
    ({"title": ""}, "#/title"),
    ({"title": " \u3000"}, "#/title"),
    ({"title": "x" * (Note.title.type.length + 1)}, "#/title"),
    ({"title": "a\nb"}, "#/title"),
    ({"title": "a\n"}, "#/title"),
    ({"title": "a\0b"}, "#/title"),
    ({"title": "a", "body": "x" * (models.BODY_LENGTH + 1)}, "#/body"),
    ({"title": "a", "body": "\x1b"}, "#/body"),
    ({"title": "a", "body": "a\rb"}, "#/body"),
    ({"title": "a", "tags": "shop"}, "#/tags"),
    ({"title": "a", "tags": ["a"] * (models.MOST_TAGS + 1)}, "#/tags"),
    ({"title": "a", "tags": ["a", " "]}, "#/tags/1"),
    ({"title": "a", "tags": ["a,b"]}, "#/tags/0"),
    ({"title": "a", "tags": ["x" * (Tag.name.type.length + 1)]}, "#/tags/0"),
    ({"title": "a", "id": 1}, "#/id"),
    ({"title": "a", "a/b~ü": 1}, "#/a~1b~0%C3%BC"),
    ([], "#"),
    (None, "#"),
    ("title", "#"),
]


@pytest.mark.parametrize(("body", "pointer"), INVALID)
def test_a_value_that_cannot_be_stored_is_pointed_at(
    client: FlaskClient, body: object, pointer: str
) -> None:
    answer = client.post("/api/notes", data=json.dumps(body), content_type="application/json")

    assert answer.status_code == 422
    assert [error["pointer"] for error in problem(answer)["errors"]] == [pointer]
    assert "errors says which" in problem(answer)["detail"]
    assert titles(client) == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1_0", "limit"),
        ("before=0", "before"),
        (f"before={2**31}", "before"),
        (f"before={'9' * 5000}", "before"),
        ("q=%00", "q"),
        (f"q={'x' * 201}", "q"),
        ("tag=a%0Ab", "tag"),
        ("limits=1", "limits"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(
    client: FlaskClient, query: str, parameter: str
) -> None:
    answer = client.get(f"/api/notes?{query}")

    assert answer.status_code == 422
    assert [error["parameter"] for error in problem(answer)["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"\xff", "can't decode byte"),
        (b'{"title": NaN}', "NaN is no number"),
        (b'{"title": "a", "title": "b"}', "has a name twice"),
        (b'{"title": "\\ud800"}', "half of a surrogate pair"),
        (b'{"title": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_body_that_is_no_json_is_explained(client: FlaskClient, body: bytes, says: str) -> None:
    answer = client.post("/api/notes", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert says in problem(answer)["detail"]
    assert titles(client) == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_page_of_another_site_can_post_is_refused(
    client: FlaskClient, method: str, content_type: str
) -> None:
    path = create(client).location if method == "PUT" else "/api/notes"

    answer = client.open(path, method=method, data=json.dumps(MILK), content_type=content_type)

    assert answer.status_code == 415
    assert "Content-Type: application/json" in problem(answer)["detail"]


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    answer = create(client, body="x" * LARGEST_BODY)

    assert answer.status_code == 413
    assert problem(answer)["title"] == "Request Entity Too Large"


def test_a_method_that_is_not_there_is_refused_with_those_that_are(client: FlaskClient) -> None:
    answer = client.patch("/api/notes")

    assert problem(answer)["status"] == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_path_that_is_not_there_is_a_problem(client: FlaskClient) -> None:
    assert problem(client.get("/api/no such path"))["instance"] == "/api/no%20such%20path"
{%- if cookiecutter.interface == "pages+api" %}


def test_other_paths_are_no_part_of_the_api(client: FlaskClient) -> None:
    assert client.get("/apis").content_type != "application/problem+json"
{%- endif %}


def test_an_error_of_ours_is_logged_and_not_told(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(**options: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(notes_api, "find", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    answer = client.get("/api/notes")

    assert answer.status_code == 500
    assert problem(answer)["title"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert "the secret" in caplog.text


def test_the_api_sets_no_cookie(client: FlaskClient) -> None:
    assert "Set-Cookie" not in create(client).headers
{%- if cookiecutter.accounts != "yes" %}
    assert "Cookie" not in client.get("/api/notes").headers.get("Vary", "")
{%- endif %}


def test_the_description_names_every_operation(client: FlaskClient) -> None:
    description = client.get("/api/openapi.json").json
    assert description is not None

    page = client.get("/api/docs").text

    assert description["openapi"].startswith("3.1")
    assert {path: set(item) - {"parameters"} for path, item in description["paths"].items()} == {
        "/api/notes": {"get", "post"},
        "/api/notes/{note_id}": {"get", "put", "delete"},
    }
    assert page.count("<h2 id=") == 5 + len(description["components"]["schemas"])
    assert "curl -i http://localhost/api/notes \\" in page
    assert "at most 200 characters" in page
    assert "<script" not in page


@pytest.fixture
def develop(new_app: NewApp, monkeypatch: pytest.MonkeyPatch) -> Callable[[Flask], FlaskClient]:
    """A function that gives a client of the application in development."""
    monkeypatch.setenv("FLASK_DEBUG", "1")

    def make(app: Flask) -> FlaskClient:
        url = app.config["SQLALCHEMY_DATABASE_URI"]
        return new_app(SQLALCHEMY_DATABASE_URI=url).test_client()

    return make


def test_in_development_pending_migrations_are_told(
    develop: Callable[[Flask], FlaskClient], empty_app: Flask
) -> None:
    answer = develop(empty_app).get("/api/notes")

    assert answer.status_code == 503
    assert "flask db upgrade" in problem(answer)["detail"]


def test_in_development_a_migrated_database_is_used(
    develop: Callable[[Flask], FlaskClient], migrated_app: Flask
) -> None:
    client = develop(migrated_app)

    assert client.get("/api/openapi.json").status_code == 200
    assert client.get("/healthz").status_code == 200


def test_in_development_a_database_that_does_not_answer_is_told(
    develop: Callable[[Flask], FlaskClient], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception())

    monkeypatch.setattr(revisions, "pending", fail)

    assert "could not be asked" in problem(develop(app).get("/api/notes"))["detail"]


def test_outside_development_the_revisions_are_not_asked_for(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "pending", lambda: ["some"])

    assert client.get("/api/notes").status_code == 200
