"""The JSON API: how it answers, and what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urljoin

import pytest
from client_fixtures import OPEN
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import text
from werkzeug.test import TestResponse

from {{ cookiecutter.project_slug }}.api import ApiBlueprint
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
    assert "Somebody has changed this" in answer.json["detail"]


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
    assert "See errors" in problem(answer)["detail"]
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


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"\xff", "can't decode byte"),
        (b'{"title": NaN}', "not JSON compliant"),
        (b'{"title": "\\ud800"}', "surrogates not allowed"),
        (b'{"title": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b"[" * 100_000, "recursion"),
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

    answer = client.open(
        path,
        method=method,
        data=json.dumps(MILK),
        content_type=content_type,
        headers={"If-Match": "*"},
    )

    assert answer.status_code == 415
    assert "Content-Type: application/json" in problem(answer)["detail"]


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    answer = create(client, body="x" * client.application.config["MAX_CONTENT_LENGTH"])

    assert answer.status_code == 413
    assert problem(answer)["title"] == "Request Entity Too Large"


def test_a_method_that_is_not_there_is_refused_with_those_that_are(client: FlaskClient) -> None:
    answer = client.patch("/api/notes")

    assert problem(answer)["status"] == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_path_that_is_not_there_is_a_problem(client: FlaskClient) -> None:
    assert problem(client.get("/api/no such path"))["instance"] == "/api/no%20such%20path"


def test_an_error_of_ours_is_logged_and_not_told(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(queries, "list_notes", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    answer = client.get("/api/notes")

    assert answer.status_code == 500
    assert problem(answer)["title"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert "the secret" in caplog.text


def test_the_api_sets_no_cookie(client: FlaskClient) -> None:
    assert "Set-Cookie" not in create(client).headers
    # Accounts look whether there is a session.
    has_accounts = "security" in client.application.extensions
    assert ("Cookie" in client.get("/api/notes").headers.get("Vary", "")) == has_accounts


def test_the_description_names_every_operation(client: FlaskClient) -> None:
    description = client.get("/api/openapi.json").json
    assert description is not None

    assert description["openapi"].startswith("3.1")
    paths = {path: set(item) - {"parameters"} for path, item in description["paths"].items()}
    assert paths["/api/notes"] == {"get", "post"}
    assert paths["/api/notes/{note_id}"] == {"get", "put", "delete"}
    assert description["paths"]["/api/notes/{note_id}"]["parameters"][0]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_INTEGER,
    }
    for item in description["paths"].values():
        for operation in (item[method] for method in item if method != "parameters"):
            errors = operation["responses"]["default"]
            assert errors == {"$ref": "#/components/responses/DEFAULT_ERROR"}
    (content_type,) = description["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert content_type == "application/problem+json"


def test_the_page_of_the_description_has_its_parts_from_here(client: FlaskClient) -> None:
    page = client.get("/api/docs")

    assert 'spec-url="/api/openapi.json"' in page.text
    (script,) = re.findall(r'<script[^>]* src="([^"]+)"></script>', page.text)
    assert page.text.count("<script") == 1
    with client.get(urljoin("/api/docs", script)) as answer:
        assert answer.status_code == 200
    assert "//" not in page.text.replace("http://localhost/api/", "")
    assert "load-fonts" in page.text


def test_only_that_page_may_set_styles_by_attributes(client: FlaskClient) -> None:
    policy = client.get("/api/openapi.json").headers["Content-Security-Policy"]
    relaxed = client.get("/api/docs").headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert relaxed == f"{policy}; style-src 'self' 'unsafe-inline'"


def test_in_development_pending_migrations_are_a_problem(
    new_app: NewApp, empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    url = empty_app.config["SQLALCHEMY_DATABASE_URI"]

    answer = new_app(SQLALCHEMY_DATABASE_URI=url).test_client().get("/api/notes")

    assert answer.status_code == 503
    assert "flask db prepare" in problem(answer)["detail"]


def test_behind_a_proxy_with_a_prefix_the_description_has_it(client: FlaskClient) -> None:
    behind = {"SCRIPT_NAME": "/shop"}

    description = client.get("/api/openapi.json", environ_overrides=behind).json
    page = client.get("/api/docs", environ_overrides=behind).text

    assert description is not None
    assert description["servers"] == [{"url": "/shop"}]
    assert "curl --request GET http://localhost/shop/api/notes<" in page


def test_a_second_blueprint_needs_no_form_token_and_has_problems(new_app: NewApp) -> None:
    app = new_app()
    blueprint = ApiBlueprint("goods", __name__, url_prefix="/goods")
    schema = Schema.from_dict({"name": fields.String(required=True)})

    @blueprint.post("")
    @blueprint.arguments(schema(many=True))
    @blueprint.response(201, schema(many=True))
    def create(values: list[dict[str, str]]) -> list[dict[str, str]]:
        return values

    app.extensions["api"].register_blueprint(blueprint, **OPEN)
    client = app.test_client()

    assert client.post("/goods", json=[{"name": "lamp"}]).status_code == 201
    assert client.post("/goods", json=[{}]).mimetype == "application/problem+json"
    assert "/goods" in client.get("/api/docs").text


@pytest.mark.parametrize("change_etag", ["W/{}", '{}, "other"', "{}-gzip"])
def test_an_etag_that_a_proxy_changed_is_accepted(client: FlaskClient, change_etag: str) -> None:
    created = create(client)
    etag = created.headers["ETag"].removeprefix("W/")
    sent = f'{etag[:-1]}-gzip"' if change_etag == "{}-gzip" else change_etag.format(etag)

    assert client.put(created.location, json=MILK, headers={"If-Match": sent}).status_code == 200
    sent = 'W/"0123456789"'
    assert client.put(created.location, json=MILK, headers={"If-Match": sent}).status_code == 412


def test_a_parameter_that_is_a_list_may_be_repeated(new_app: NewApp) -> None:
    app = new_app()
    blueprint = ApiBlueprint("goods", __name__, url_prefix="/api/goods")
    schema = Schema.from_dict({"id": fields.List(fields.Integer()), "name": fields.String()})

    @blueprint.get("")
    @blueprint.arguments(schema, location="query")
    @blueprint.response(200)
    def index(query: dict[str, object]) -> dict[str, object]:
        return query

    app.extensions["api"].register_blueprint(blueprint, **OPEN)
    client = app.test_client()

    assert client.get("/api/goods?id=1&id=2").json == {"id": [1, 2]}
