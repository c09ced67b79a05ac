"""Where log lines go: one JSON object each in production, a readable line in development."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from typing import TextIO, cast
from urllib.parse import quote

from flask import Flask, Response, g, has_request_context, request
from flask.logging import wsgi_errors_stream
from sqlalchemy import make_url

from . import query_log

SHORTEST_SECRET = 8  # characters; to blot out shorter ones would make the lines unreadable
PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*:)[^@\s]+@")
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
HANDLER = "application"

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Set up the root logger, and write a line for each request."""
    handler = logging.StreamHandler(cast(TextIO, wsgi_errors_stream))
    handler.name = HANDLER
    handler.addFilter(_add_request_id)
    handler.setFormatter(Redacted(_formatter(app.debug), _secrets(app)))
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.name != HANDLER] + [handler]
    root.setLevel(app.config["LOG_LEVEL"])
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    logging.getLogger("alembic.runtime.migration").addFilter(_is_news)
    logging.getLogger("werkzeug").addFilter(_is_news)

    app.before_request(_begin)
    app.after_request(_end)


class Redacted(logging.Formatter):
    """Formats as another formatter does, and blots out what nobody must read."""

    def __init__(self, formatter: logging.Formatter, secrets: list[str]) -> None:
        super().__init__()
        self._formatter = formatter
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = PASSWORD_IN_URL.sub(r"\1***@", self._formatter.format(record))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _formatter(readable: bool) -> logging.Formatter:
    if readable:
        return logging.Formatter("%(levelname)-7s %(message)s")
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )


def _secrets(app: Flask) -> list[str]:
    """The secrets among the settings, in each way that they may be written."""
{%- if cookiecutter.accounts == "yes" %}
    names = (
        "SQLALCHEMY_DATABASE_URI",
        "MIGRATION_DATABASE_URL",
        "MAIL_URL",
        "RATELIMIT_STORAGE_URI",
    )
{%- else %}
    names = ("SQLALCHEMY_DATABASE_URI", "MIGRATION_DATABASE_URL")
{%- endif %}
    urls = [make_url(app.config[name]) for name in names if app.config[name]]
    secrets = [app.config["SECRET_KEY"], *(url.password for url in urls if url.password)]
    return [
        text
        for secret in secrets
        if len(secret) >= SHORTEST_SECRET
        for text in {
            secret,
            quote(secret, safe=""),
            quote(secret, safe=" +"),
            json.dumps(secret)[1:-1],
        }
    ]


def _add_request_id(record: logging.LogRecord) -> bool:
    if has_request_context() and "request_id" in g:
        record.request_id = g.request_id
    return True


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is not what Alembic says each time, or the development server beside our line."""
    message = str(record.msg)
    told = ("Context impl", "Will assume", "Generating static SQL")
    return not message.startswith(told) and '"%s" %s %s' not in message


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if request.blueprint != "health":  # asked every few seconds
        milliseconds = round((time.perf_counter() - g.started) * 1000, 1)
        made = query_log.of_this_request()
        fields = {
            "method": request.method,
{%- if cookiecutter.accounts == "yes" %}
            "path": _path(),  # without the query string, where people put secrets
{%- else %}
            "path": request.path,  # without the query string, where people put secrets
{%- endif %}
            "route": request.url_rule and request.url_rule.rule,
            "status": response.status_code,
            "milliseconds": milliseconds,
            "queries": made.number,
            "query_milliseconds": round(made.seconds * 1000, 1),
        }
        text = "%(method)s %(path)s %(status)d in %(milliseconds)s ms, %(queries)d queries"
        log.info(text, fields, extra=fields)
    return response
{%- if cookiecutter.accounts == "yes" %}


def _path() -> str:
    """The path without the token of a link that was sent: whoever has it is let in."""
    token = str((request.view_args or {}).get("token", ""))
    return request.path.replace(token, "***") if token else request.path
{%- endif %}
