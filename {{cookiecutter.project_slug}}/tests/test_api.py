"""What all endpoints of the API share: strict input, errors in one format, and the documentation."""

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
from flask.views import MethodView
from marshmallow import Schema, fields
from werkzeug.test import TestResponse

from {{ cookiecutter.project_slug }}.api import (
    NOT_BLANK,
    Blueprint,
    text_field,
)

LAMP = {"name": "Desk lamp"}
blueprint = Blueprint("lamps", __name__, url_prefix="/api/lamps")


class LampSchema(Schema):
    name = text_field(NOT_BLANK, 20, "One line, not blank.", required=True)


class QuerySchema(Schema):
    id = fields.List(fields.Integer())
    name = fields.String()


@blueprint.get("")
@blueprint.arguments(QuerySchema, location="query")
@blueprint.response(200)
def index(query: dict[str, Any]) -> dict[str, Any]:
    return query


@blueprint.post("")
@blueprint.arguments(LampSchema)
@blueprint.response(201, LampSchema)
def create(values: dict[str, str]) -> dict[str, str]:
    return values


@blueprint.route("/1")
@blueprint.etag
class LampView(MethodView):
    @blueprint.response(200, LampSchema)
    def get(self) -> dict[str, str]:
        return LAMP

    @blueprint.arguments(LampSchema)
    @blueprint.response(200, LampSchema)
    def put(self, values: dict[str, str]) -> dict[str, str]:
        blueprint.check_etag(LAMP, LampSchema)
        return values


@blueprint.get("/broken")
@blueprint.response(204)
def broken() -> None:
    raise RuntimeError("the secret")


@pytest.fixture
def client(new_app: NewApp) -> FlaskClient:
    """Return a client of an application with a blueprint that no resource needs."""
    app = new_app()
    app.extensions["api"].register_blueprint(blueprint, **OPEN)
    return app.test_client()


def problem(answer: TestResponse) -> dict[str, Any]:
    """Return the content of a response that has to be a problem."""
    assert answer.content_type == "application/problem+json"
    content: dict[str, Any] = json.loads(answer.data)
    assert content["status"] == answer.status_code
    return content


def test_a_blueprint_needs_no_form_token(client: FlaskClient) -> None:
    answer = client.post("/api/lamps", json={"name": " Lamp "})

    assert (answer.status_code, answer.json) == (201, {"name": "Lamp"})
    assert "Set-Cookie" not in answer.headers


def test_a_value_that_cannot_be_used_is_named(client: FlaskClient) -> None:
    for value in (1, "", " \u3000", "x" * 21, "a\nb", "a\0b"):
        answer = client.post("/api/lamps", json={"name": value})

        assert answer.status_code == 422
        assert [*problem(answer)["errors"]["json"]] == ["name"]
        assert "see errors" in problem(answer)["detail"]


def test_a_parameter_that_is_a_list_may_be_repeated(client: FlaskClient) -> None:
    assert client.get("/api/lamps?id=1&id=2").json == {"id": [1, 2]}


@pytest.mark.parametrize("query", ["id=x", "ids=1"])
def test_a_parameter_that_cannot_be_used_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/api/lamps?{query}")

    assert answer.status_code == 422
    assert [*problem(answer)["errors"]["query"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"\xff", "can't decode byte"),
        (b'{"name": NaN}', "not JSON compliant"),
        (b'{"name": "\\ud800"}', "surrogates not allowed"),
        (b'{"name": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_body_that_is_no_json_is_explained(client: FlaskClient, body: bytes, says: str) -> None:
    answer = client.post("/api/lamps", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert says in problem(answer)["detail"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/lamps"), ("PUT", "/api/lamps/1")])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_page_of_another_site_can_post_is_refused(
    client: FlaskClient, method: str, path: str, content_type: str
) -> None:
    answer = client.open(
        path,
        method=method,
        data=json.dumps(LAMP),
        content_type=content_type,
        headers={"If-Match": "*"},
    )

    assert answer.status_code == 415
    assert "Content-Type: application/json" in problem(answer)["detail"]


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    size = client.application.config["MAX_CONTENT_LENGTH"]

    answer = client.post("/api/lamps", json={"name": "x" * size})

    assert answer.status_code == 413
    assert problem(answer)["title"] == "Request Entity Too Large"


def test_a_method_that_is_not_there_is_refused_with_those_that_are(client: FlaskClient) -> None:
    answer = client.patch("/api/lamps")

    assert problem(answer)["status"] == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_path_that_is_not_there_is_a_problem(client: FlaskClient) -> None:
    assert problem(client.get("/api/no such path"))["instance"] == "/api/no%20such%20path"


def test_an_error_of_ours_is_logged_and_not_told(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(client.application.config, "PROPAGATE_EXCEPTIONS", False)

    answer = client.get("/api/lamps/broken")

    assert answer.status_code == 500
    assert problem(answer)["title"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert "the secret" in caplog.text


@pytest.mark.parametrize("change_etag", ["{}", "W/{}", '{}, "other"', "{}-gzip"])
def test_an_etag_that_a_proxy_changed_is_accepted(client: FlaskClient, change_etag: str) -> None:
    etag = client.get("/api/lamps/1").headers["ETag"].removeprefix("W/")
    sent = f'{etag[:-1]}-gzip"' if change_etag == "{}-gzip" else change_etag.format(etag)

    assert client.put("/api/lamps/1", json=LAMP, headers={"If-Match": sent}).status_code == 200


@pytest.mark.parametrize(("etag", "status"), [(None, 428), ('W/"0123456789"', 412)])
def test_nobody_overwrites_what_they_have_not_read(
    client: FlaskClient, etag: str | None, status: int
) -> None:
    headers = {"If-Match": etag} if etag else {}

    assert client.put("/api/lamps/1", json=LAMP, headers=headers).status_code == status


def test_the_description_names_what_an_operation_returns(client: FlaskClient) -> None:
    description = client.get("/api/openapi.json").json
    assert description is not None

    assert description["openapi"].startswith("3.1")
    assert {"get", "post"} <= {*description["paths"]["/api/lamps"]}
    for item in description["paths"].values():
        for operation in (item[method] for method in item if method != "parameters"):
            errors = operation["responses"]["default"]
            assert errors == {"$ref": "#/components/responses/DEFAULT_ERROR"}
    (content_type,) = description["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert content_type == "application/problem+json"


def test_the_page_of_the_description_has_its_parts_from_here(client: FlaskClient) -> None:
    page = client.get("/api/docs")

    assert 'spec-url="/api/openapi.json"' in page.text
    assert "/api/lamps" in page.text
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


def test_behind_a_proxy_with_a_prefix_the_description_has_it(client: FlaskClient) -> None:
    behind = {"SCRIPT_NAME": "/shop"}

    description = client.get("/api/openapi.json", environ_overrides=behind).json
    page = client.get("/api/docs", environ_overrides=behind).text

    assert description is not None
    assert description["servers"] == [{"url": "/shop"}]
    assert client.options("/api/openapi.json", environ_overrides=behind).status_code == 200
    missing = client.get("/api/nothing", environ_overrides=behind)
    assert problem(missing)["instance"] == "/shop/api/nothing"
    assert "curl --request GET http://localhost/shop/api/lamps<" in page


def test_in_development_pending_migrations_are_a_problem(
    new_app: NewApp, empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    url = empty_app.config["SQLALCHEMY_DATABASE_URI"]

    answer = new_app(SQLALCHEMY_DATABASE_URI=url).test_client().get("/api/lamps")

    assert answer.status_code == 503
    assert "flask db prepare" in problem(answer)["detail"]
