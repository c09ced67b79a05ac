"""Logging: one JSON object a line in production, readable lines in development."""

import json
import logging
import re
import time
import uuid
from typing import TextIO, cast
from urllib.parse import quote, unquote, urlsplit

from flask import Flask, Response, current_app, g, has_request_context, request
from flask.logging import wsgi_errors_stream
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import URL, Connection, Engine, event

# The possessive quantifiers keep the time linear: they never backtrack.
PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*+:)[^@\s]++(@?)")
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
# Routine messages of Alembic and of the development server, whose request lines ours replace.
NOISE = re.compile(r'set.* plugin|Context impl|Will assume|Generating static SQL|.*"%s" %s %s')
TRANSACTION = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")  # no queries

log = logging.getLogger(__name__)


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does, and replaces passwords and secrets by asterisks."""

    def __init__(self, formatter: logging.Formatter, secrets: set[str]) -> None:
        super().__init__()
        self._formatter = formatter
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets."""
        text = self._formatter.format(record)
        text = PASSWORD_IN_URL.sub(lambda url: f"{url[1]}***@" if url[2] else url[0], text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def init_app(app: Flask) -> None:
    """Set up the root logger, and log each request."""
    as_text = logging.Formatter("%(levelname)-7s %(message)s")
    as_json = JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    handler = logging.StreamHandler(cast(TextIO, wsgi_errors_stream))
    handler.name = __name__
    handler.addFilter(_prepare_record)
    handler.setFormatter(RedactingFormatter(as_text if app.debug else as_json, _get_secrets(app)))
    root = logging.getLogger()
    root.handlers = [other for other in root.handlers if other.name != handler.name] + [handler]
    root.setLevel(app.config["LOG_LEVEL"])
    app.before_request(_start_timer)
    app.after_request(_log_request)


def _get_secrets(app: Flask) -> set[str]:
    """Return the secrets in the settings, in each form in which they may be logged."""
    secrets = [app.config[name] for name in app.config if name.endswith(("_SECRET", "SECRET_KEY"))]
    for name in app.config:
        if name.endswith(("_URL", "_URI")) and (url := app.config[name]):
            text = url.render_as_string(hide_password=False) if isinstance(url, URL) else url
            secrets.append(unquote(urlsplit(text).password or ""))
    return {
        form
        for secret in secrets
        if len(secret) >= 8  # without shorter words, lines would be unreadable
        for form in (secret, quote(secret, ""), quote(secret, " +"), json.dumps(secret)[1:-1])
    }


def record_queries(engine: Engine) -> None:
    """Record the queries of each request."""
    event.listen(engine, "before_cursor_execute", _start_query)
    event.listen(engine, "after_cursor_execute", _end_query)


def _start_query(connection: Connection, *arguments: object) -> None:
    connection.info["query_started"] = time.perf_counter()


def _end_query(connection: Connection, cursor: object, sql: str, *arguments: object) -> None:
    if has_request_context() and not sql.startswith(TRANSACTION):
        seconds = time.perf_counter() - connection.info["query_started"]
        g.setdefault("queries", []).append((sql, seconds))


def _prepare_record(record: logging.LogRecord) -> bool:
    """Add the id of the request, and drop noise."""
    if has_request_context() and "request_id" in g:
        record.request_id = g.request_id
    return not NOISE.match(str(record.msg))


def _start_timer() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.started = time.perf_counter()


def _log_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if request.blueprint == "health":  # called every few seconds
        return response
    queries: list[tuple[str, float]] = g.get("queries", [])
    token = (request.view_args or {}).get("token")  # of a link, which lets its reader in
    fields = {
        "method": request.method,
        # Without the query string, where people put secrets.
        "path": request.path.replace(str(token), "***") if token else request.path,
        "route": request.url_rule and request.url_rule.rule,
        "status": response.status_code,
        "milliseconds": round((time.perf_counter() - g.started) * 1000, 1),
        "queries": len(queries),
        "query_milliseconds": round(sum(seconds for _, seconds in queries) * 1000, 1),
    }
    text = "%(method)s %(path)s %(status)d in %(milliseconds)s ms, %(queries)d queries"
    log.info(text, fields, extra=fields)
    for sql, seconds in queries:
        if 0 < current_app.config["SLOW_QUERY"] < seconds:
            log.warning("A query took %.1f s: %s", seconds, sql)
    return response
