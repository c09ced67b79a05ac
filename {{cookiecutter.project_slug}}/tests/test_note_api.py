"""The API of the notes: how it answers, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from {{ cookiecutter.project_slug }}.database import MAX_INTEGER, db
from {{ cookiecutter.project_slug }}.notes import models, queries
from {{ cookiecutter.project_slug }}.notes.models import Note, Tag

MILK = {"title": "Milk", "body": "Two litres", "tags": ["shop"]}


@pytest.fixture
def client(client: FlaskClient) -> FlaskClient:
    """Return a test client without cookies, as programs are."""
    client.delete_cookie("session")
    return client


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
    get = queries.get_note_or_404

    def get_before_another_changes(note_id: int) -> Note:
        note = get(note_id)
        db.session.execute(text("UPDATE note SET title = 'Theirs', version = version + 1"))
        return note

    monkeypatch.setattr(queries, "get_note_or_404", get_before_another_changes)
    answer = change(client, created.location, method, created.headers["ETag"])

    assert answer.status_code == 409
    assert answer.json is not None
    assert "have been modified" in answer.json["detail"]


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
    ({}, "json/title"),
    ({"title": None}, "json/title"),
    ({"title": 1}, "json/title"),
    ({"title": ""}, "json/title"),
    ({"title": " \u3000"}, "json/title"),
    ({"title": "x" * (Note.title.type.length + 1)}, "json/title"),
    ({"title": "a\nb"}, "json/title"),
    ({"title": "a\n"}, "json/title"),
    ({"title": "a\0b"}, "json/title"),
    ({"title": "a", "body": "x" * (models.MAX_BODY_LENGTH + 1)}, "json/body"),
    ({"title": "a", "body": "\x1b"}, "json/body"),
    ({"title": "a", "body": "a\rb"}, "json/body"),
    ({"title": "a", "tags": "shop"}, "json/tags"),
    ({"title": "a", "tags": ["a"] * (models.MAX_TAGS + 1)}, "json/tags"),
    ({"title": "a", "tags": ["a", " "]}, "json/tags/1"),
    ({"title": "a", "tags": ["a,b"]}, "json/tags/0"),
    ({"title": "a", "tags": ["x" * (Tag.name.type.length + 1)]}, "json/tags/0"),
    ({"title": "a", "id": 1}, "json/id"),
    ({"title": "a", "a/b~ü": 1}, "json/a/b~ü"),
    ([], "json/_schema"),
    (None, "json/_schema"),
    ("title", "json/_schema"),
]


def find_path(errors: object) -> str:
    """Return the names that lead to the only message."""
    names = []
    while isinstance(errors, dict):
        ((name, errors),) = errors.items()
        names.append(name)
    return "/".join(names)


@pytest.mark.parametrize(("body", "path"), INVALID)
def test_a_value_that_cannot_be_stored_is_named(
    client: FlaskClient, body: object, path: str
) -> None:
    answer = client.post("/api/notes", data=json.dumps(body), content_type="application/json")

    assert answer.status_code == 422
    assert find_path(problem(answer)["errors"]) == path
    assert "see errors" in problem(answer)["detail"]
    assert titles(client) == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("before=0", "before"),
        (f"before={2**31}", "before"),
        (f"before={'9' * 5000}", "before"),
        ("q=%00", "q"),
        (f"q={'x' * 201}", "q"),
        ("tag=a%0Ab", "tag"),
        ("limits=1", "limits"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(
    client: FlaskClient, query: str, parameter: str
) -> None:
    answer = client.get(f"/api/notes?{query}")

    assert answer.status_code == 422
    assert find_path(problem(answer)["errors"]) == f"query/{parameter}"


def test_the_api_sets_no_cookie(client: FlaskClient) -> None:
    assert "Set-Cookie" not in create(client).headers
    # Accounts look whether there is a session.
    has_accounts = "security" in client.application.extensions
    assert ("Cookie" in client.get("/api/notes").headers.get("Vary", "")) == has_accounts


def test_the_description_names_every_operation(client: FlaskClient) -> None:
    description = client.get("/api/openapi.json").json
    assert description is not None

    paths = {path: set(item) - {"parameters"} for path, item in description["paths"].items()}
    assert paths["/api/notes"] == {"get", "post"}
    assert paths["/api/notes/{note_id}"] == {"get", "put", "delete"}
    assert description["paths"]["/api/notes/{note_id}"]["parameters"][0]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_INTEGER,
    }
