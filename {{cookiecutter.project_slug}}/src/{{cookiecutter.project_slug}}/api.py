"""What all of the JSON API shares: strict input, errors that are alike, and a description to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import flask_smorest
from flask import Flask, Request, Response, abort
{%- if cookiecutter.interface == "api" %}, redirect{% endif %}, request
{%- if cookiecutter.interface == "api" %}, url_for{% endif %}
from marshmallow import RAISE, Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, HTTPException

from . import api_docs

View = TypeVar("View", bound=Callable[..., Any])

PREFIX = "/api"
LARGEST_BODY = 256 * 1024  # bytes
PROBLEM_JSON = "application/problem+json"
ABOUT = (
{%- if cookiecutter.accounts == "yes" %}
    "It is used with a token, in the header Authorization: Bearer …; the page of one's account"
    " has them. It heeds no cookies. Every error is a problem of"
{%- else %}
    "Anybody may use it: it takes no cookies and knows no accounts. Every error is a problem of"
{%- endif %}
    " RFC 9457: an object with the title of its status, and what is wrong in detail or, value by"
    " value, in errors."
)


class InvalidValueSchema(Schema):
    """One of the values that can't be used."""

    pointer = fields.String(
        metadata={
            "description": "Where it is in the body, as in #/tags/0.",
            "format": "uri-reference",
        }
    )
    parameter = fields.String(metadata={"description": "The parameter that it is in."})
    detail = fields.String(required=True, metadata={"description": "What is wrong with it."})


class ProblemSchema(Schema):
    """An error: https://www.rfc-editor.org/rfc/rfc9457."""

    type = fields.String(required=True, metadata={"format": "uri-reference"})
    title = fields.String(required=True, metadata={"description": "The name of the status."})
    status = fields.Integer(required=True)
    detail = fields.String(
        required=True, metadata={"description": "What is wrong, and what to do."}
    )
    instance = fields.String(
        required=True,
        metadata={"description": "The path that was asked.", "format": "uri-reference"},
    )
    errors = fields.List(
        fields.Nested(InvalidValueSchema),
        metadata={"description": "The values that can't be used."},
    )


class Parser(FlaskParser):
    """Reads what a request brings, and nothing that two programs might read differently."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def load_json(self, req: Request, schema: Schema) -> object:
        # Another site can have a browser post other types, but not this one.
        if req.mimetype != "application/json":
            abort(415, "The body has to be JSON, with the header Content-Type: application/json.")
        req.max_content_length = LARGEST_BODY
        body = req.get_data()
        try:
            return _parse(body)
        except RecursionError:
            raise BadRequest("The body is nested too deep.") from None
        except ValueError as error:
            raise BadRequest(f"The body is no JSON that can be read: {error}") from None

    def load_querystring(self, req: Request, schema: Schema) -> MultiDict[str, str]:
        repeated = [name for name, values in req.args.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: ["It is there more than once."] for name in repeated})
        return req.args


class Blueprint(flask_smorest.Blueprint):
    """A blueprint of the API: https://flask-smorest.readthedocs.io/en/latest/."""

    ARGUMENTS_PARSER = Parser()

    def problems(self, *statuses: int) -> Callable[[View], View]:
        """Describe the errors that an operation may answer."""

        def describe(view: View) -> View:
            for status in (*statuses,{% if cookiecutter.accounts == "yes" %} 401,{% endif %} 500):
                view = self.alt_response(status, HTTPStatus(status).name)(view)
            return view

        return describe


class Api(flask_smorest.Api):
    """The description of the API, in which errors are problems."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # each operation names its errors

    def _register_error_handlers(self) -> None:
        """Leave the errors to errors.py, which knows more of them."""

    def _register_responses(self) -> None:
        # By its name it is looked up once, not for each status.
        self.spec.components.schema("Problem", schema=ProblemSchema, lazy=True)
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= HTTPStatus.BAD_REQUEST:
                response["content"] = {PROBLEM_JSON: {"schema": "Problem"}}
            self.spec.components.response(status.name, response, lazy=True)


def init_app(app: Flask) -> None:
    """Add the API to the application."""
    app.config.from_mapping(
        API_TITLE=app.config["PROJECT_NAME"],
        API_VERSION="1",
{%- if cookiecutter.accounts == "yes" %}
        API_SPEC_OPTIONS={
            "info": {"description": ABOUT},
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}],
        },
{%- else %}
        API_SPEC_OPTIONS={"info": {"description": ABOUT}},
{%- endif %}
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,  # and there openapi.json
    )
    app.extensions["api"] = api = Api(app)
    app.add_url_rule(f"{PREFIX}/docs", "api_docs", lambda: api_docs.page(api.spec.to_dict()))
{%- if cookiecutter.interface == "api" %}
    app.add_url_rule("/", "home", lambda: redirect(url_for("api_docs")))
{%- endif %}


def register_blueprint(app: Flask, blueprint: Blueprint) -> None:
    """Add the operations of a blueprint to the API and to its description."""
    app.extensions["api"].register_blueprint(blueprint)


def problem(error: HTTPException) -> Response:
    """The answer to a request under /api/ that went wrong: https://www.rfc-editor.org/rfc/rfc9457."""
    response = Response(status=error.code, headers=error.get_headers(), content_type=PROBLEM_JSON)
    content = {
        "type": "about:blank",
        "title": error.name,
        "status": response.status_code,
        "detail": error.description,
        "instance": quote(request.path),
    }
    messages: dict[str, Any] = getattr(error, "data", {}).get("messages", {})
    if messages:
        content["detail"] = "Some values can't be used: errors says which, and why."
        content["errors"] = [
            invalid for location in messages for invalid in _invalid(location, messages[location])
        ]
    response.set_data(json.dumps(content))
    return response


def _invalid(
    location: str, messages: dict[Any, Any] | list[str], *path: str
) -> Iterator[dict[str, str]]:
    """The messages of webargs, which are nested as the values are, one after another."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _invalid(location, inner, *path, *([] if name == "_schema" else [str(name)]))
    elif location == "json":
        pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
        for message in messages:
            yield {"pointer": f"#{quote(pointer)}", "detail": message}
    else:
        for message in messages:
            yield {"parameter": ".".join(path), "detail": message}


def _parse(body: bytes) -> object:
    """Read I-JSON, the JSON that every program reads alike: https://www.rfc-editor.org/rfc/rfc7493.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deep.
    """
    value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text has half of a surrogate pair") from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a name twice")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
