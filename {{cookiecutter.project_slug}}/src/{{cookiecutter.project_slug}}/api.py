"""The JSON API: strict input, one format for errors, and documentation at /api/docs."""

import json
import re
from functools import partialmethod
from typing import Any
from urllib.parse import quote

import flask_smorest
from flask import Flask, Request, Response, abort, current_app, request
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_etags

{% if cookiecutter.accounts == "yes" -%}
from .accounts import tokens
{% endif -%}
from .security import CONTENT_POLICY
from .text import clean_lines

PROBLEM_JSON = "application/problem+json"
# Shown in openapi.json; stricter than clean_text. \s differs: \x85 in Python, \ufeff in JavaScript.
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
MULTILINE = r"^([^\x00-\x08\x0b-\x1f\x7f]|\r\n)*$"
NOT_BLANK = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f\x85\ufeff][^\x00-\x1f\x7f]*$"


class ProblemSchema(Schema):
    """An error: https://www.rfc-editor.org/rfc/rfc9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    errors = fields.Dict()  # by location, such as json, and field


class Parser(FlaskParser):
    """Reads the input of a request."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def load_json(self, req: Request, schema: Schema) -> object:
        # Another site can't make a browser send this type without a CORS preflight.
        if req.mimetype != "application/json":
            abort(415, "Send JSON, with the header Content-Type: application/json.")
        try:
            value = json.loads(req.get_data().decode())
            # Refuse NaN and lone surrogates: https://www.rfc-editor.org/rfc/rfc7493
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
            return value
        except (RecursionError, ValueError) as error:
            abort(400, f"The body is not valid JSON: {error}")


class Blueprint(flask_smorest.Blueprint):
    """A blueprint of the API: https://flask-smorest.readthedocs.io/en/latest/."""

    ARGUMENTS_PARSER = Parser()
    METHODS_CHECKING_NOT_MODIFIED = ()  # _finish_response does; smorest's 304 has no ETag
    response = partialmethod(flask_smorest.Blueprint.response, content_type="application/json")

    def check_etag(self, *arguments: Any, **options: Any) -> None:
        """Accept an ETag that a compressing proxy has changed to W/"…" or "…-gzip"."""
        etags = re.sub(r'W/(?=")|-\w+(?=")', "", request.headers.get("If-Match", ""))
        request.if_match = parse_etags(etags)
        super().check_etag(*arguments, **options)


class Api(flask_smorest.Api):
    """The API: its description, its documentation page, and what all its blueprints share."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_JSON  # of errors; Blueprint.response has its own

    def init_app(self, app: Flask, **options: Any) -> None:
        """Serve openapi.json and the documentation page."""
        self.app = app
        app.extensions["api"] = self
        app.jinja_env.globals["rest_api"] = self  # for templates/rapidoc.html
        app.config.from_mapping(
            API_TITLE=app.config["PROJECT_NAME"],
            API_VERSION="1",
            OPENAPI_VERSION="3.1.0",
            OPENAPI_URL_PREFIX="/api",
            OPENAPI_RAPIDOC_PATH="docs",
            OPENAPI_RAPIDOC_URL="../static/rapidoc/rapidoc-min.js",  # seen from /api/docs
        )
{%- if cookiecutter.accounts == "yes" %}
        tokens.init_app(app)
        self.public = tokens.PublicOperations()
        options["spec_kwargs"] = {
            "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
            "security": [{"token": []}],
            "extra_plugins": [self.public],
        }
{%- endif %}
        super().init_app(app, **options)
        app.after_request(_finish_response)  # the docs' CSP, the prefix in openapi.json, 304
{%- if cookiecutter.interface == "api" %}
        app.add_url_rule("/", "home", lambda: app.redirect(request.script_root + "/api/docs"))
{%- endif %}
{% if cookiecutter.accounts == "yes" %}
    def register_blueprint(self, blp: Blueprint, *, public: bool = False, **options: Any) -> None:
        """Add the operations of a blueprint, for requests with a token or for all."""
        name = options.get("name") or blp.name
        if public:
            self.public.blueprints.add(name)
        else:

            @self.app.before_request
            def require_token() -> None:
                if name in request.blueprints:
                    tokens.require_token()
{% else %}
    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
{%- endif %}
{%- if cookiecutter.interface == "pages+api" %}
        self.app.extensions["csrf"].exempt(blp)  # CORS preflights guard JSON, PUT and DELETE
{%- endif %}
        super().register_blueprint(blp, **options)


def text_field(pattern: str, max_length: int, description: str, **options: Any) -> fields.String:
    """Return a field for text that matches the pattern."""

    def check(value: str) -> None:
        if len(value) <= max_length and not re.fullmatch(pattern, value):  # else Length refuses it
            raise ValidationError("This text doesn't match the pattern of the field.")

    return fields.String(
        validate=[validate.Length(max=max_length), check],
        post_load=clean_lines,  # the pattern has refused line breaks where there may be none
        metadata={"pattern": pattern, "description": description},
        **options,
    )


def is_api_request() -> bool:
    """Return whether the request is for a blueprint of the API, or another path below /api/."""
    blueprint = current_app.blueprints.get(request.blueprint or "")
    return isinstance(blueprint, Blueprint) or request.path.startswith("/api/")


def render_problem(error: HTTPException) -> Response:
    """Return the error as JSON."""
    problem = {"type": "about:blank", "title": error.name, "status": error.code}
    problem |= {"detail": error.description, "instance": quote(request.root_path + request.path)}
    if messages := getattr(error, "data", {}).get("messages"):  # of webargs
        problem |= {"detail": "Some values are invalid: see errors.", "errors": messages}
    return Response(json.dumps(problem), error.code, error.get_headers(), content_type=PROBLEM_JSON)


def _finish_response(response: Response) -> Response:
    if request.endpoint == "api-docs.openapi_rapidoc":
        policy = f"{CONTENT_POLICY}; style-src 'self' 'unsafe-inline'"  # RapiDoc sets styles
        response.headers["Content-Security-Policy"] = policy
    elif request.endpoint == "api-docs.openapi_json" and request.root_path and response.is_json:
        response.data = json.dumps(response.get_json() | {"servers": [{"url": request.root_path}]})
    if is_api_request():
        response.make_conditional(request)
        response.headers.pop("Date", None)  # set by make_conditional; Gunicorn adds its own
    return response
