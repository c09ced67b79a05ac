"""Logging: one JSON object per line in production, readable lines in development."""

import json
import logging
import re
import time
import uuid
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flask import Flask, Response, current_app, g, has_request_context, request
from flask.logging import default_handler
from flask_sqlalchemy.record_queries import get_recorded_queries
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

# Possessive + never backtracks: linear time. A match without the final @ is left as it is.
PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*+:)[^@\s]++(@?)")
TOKEN = re.compile(r"[\w.~=-]{30,}", re.ASCII)  # a secret in a path, as in /reset/<token>
# Format strings of Alembic's routine messages, and of Werkzeug's request lines: we log our own.
NOISE = re.compile(r'set.* plugin|Context impl|Will assume|Generating static SQL|.*"%s" %s %s')
SECRET_NAMES = ("API_KEY", "PASSWORD", "SECRET", "SECRET_KEY", "TOKEN")  # how their names end
NOT_COUNTED = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET LOCAL")
FROM_FIRST_QUOTE = re.compile(r"""['"\n].*""", re.DOTALL)  # values follow a quote or a line break

log = logging.getLogger(__name__)


class RedactingFormatter(JsonFormatter):
    """Formats as JSON, without passwords, secrets and values that drivers quote in tracebacks."""

    secrets: tuple[str, ...] = ()

    def formatException(self, ei: Any) -> str:  # noqa: ANN401
        text, error = str(super().formatException(ei)), ei[1]
        while error:  # this one, then each that caused it
            if isinstance(error, DBAPIError) and error.orig and error.orig.args:
                message = FROM_FIRST_QUOTE.sub("***", str(error.orig.args[-1]))
                text = text.replace(str(error.orig), message)
            error = error.__cause__ or error.__context__
        return text

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        text = PASSWORD_IN_URL.sub(lambda it: f"{it[1]}***@" if it[2] else it[0], text)
        tokens = TOKEN.findall(request.path) if has_request_context() else []
        for secret in (*self.secrets, *tokens):
            text = text.replace(secret, "***")
        return text


def init_app(app: Flask) -> None:
    """Set up the root logger, and log each request except health checks."""
    as_json = RedactingFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    as_json.secrets = _get_secrets(app)
    as_text = logging.Formatter("%(levelname)-7s %(message)s")
    default_handler.setFormatter(as_text if app.debug else as_json)
    default_handler.addFilter(_filter_record)
    logging.getLogger().addHandler(default_handler)
    logging.getLogger().setLevel(app.config["LOG_LEVEL"])
    app.before_request(_begin_request)
    app.after_request(_log_request)


def _get_secrets(app: Flask) -> tuple[str, ...]:
    """Return the secrets among the settings, each in every spelling that a log may contain."""
    secrets = [app.config[name] for name in app.config if name.endswith(SECRET_NAMES)]
    secrets += app.config["SECRET_KEY_FALLBACKS"]
    for name in app.config:
        if name.endswith(("_URL", "_URI")) and (url := app.config[name]):
            text = url.render_as_string(hide_password=False) if isinstance(url, URL) else url
            secrets.append(unquote(urlsplit(text).password or ""))
    return tuple(
        spelling  # as it is, as in URLs, as in SQLAlchemy's URLs, and as in JSON
        for secret in secrets
        if isinstance(secret, str) and len(secret) >= 8  # a shorter one may be a word
        for spelling in (secret, quote(secret, ""), quote(secret, " +"), json.dumps(secret)[1:-1])
    )


def _filter_record(record: logging.LogRecord) -> bool:
    """Drop the noise, and add the request's ID and the client's address to other records."""
    if has_request_context() and "request_id" in g:
        record.request_id, record.address = g.request_id, request.remote_addr
    return not NOISE.match(str(record.msg))


def _begin_request() -> None:
    sent_id = re.fullmatch(r"[\w.-]{1,64}", request.headers.get("X-Request-ID", ""), re.ASCII)
    g.request_id = sent_id[0] if sent_id else uuid.uuid4().hex
    g.started = time.perf_counter()


def _log_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if request.blueprint == "health":  # called every few seconds
        return response
    queries = [q for q in get_recorded_queries() if not str(q.statement).startswith(NOT_COUNTED)]
    fields = {
        "method": request.method,
        "path": quote(request.path, "/:@!$&'()*+,;=~"),  # without the query: it may hold secrets
        "route": request.url_rule and request.url_rule.rule,
        "status": response.status_code,
        "milliseconds": round((time.perf_counter() - g.started) * 1000, 1),
        "queries": len(queries),
        "query_milliseconds": round(sum(query.duration for query in queries) * 1000, 1),
    }
    text = "%(method)s %(path)s %(status)d in %(milliseconds)s ms, %(queries)d queries"
    log.info(text, fields, extra=fields)
    for query in queries:
        if 0 < current_app.config["SLOW_QUERY"] < query.duration:
            log.warning("A query took %.1f s: %s", query.duration, query.statement)
    return response
