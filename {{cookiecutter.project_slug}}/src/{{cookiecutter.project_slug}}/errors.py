"""Error handlers."""

import re

from flask import Flask, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import Conflict, HTTPException, ServiceUnavailable

{% if cookiecutter.interface == "pages+api" -%}
from . import api, pages
{%- elif cookiecutter.interface == "api" -%}
from . import api
{%- else -%}
from . import pages
{%- endif %}
from .database import db

# https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html,
# https://mariadb.com/kb/en/mariadb-error-code-reference/
TEMPORARY = re.compile(
    "25006|40...|53...|55P03|57...|58030"  # read-only, deadlock, full, locked, timeout or stop, I/O
    "|SQLITE_(BUSY|CANTOPEN|FULL|IOERR|LOCKED|READONLY).*"
    "|1290|1792|1836|1213|1021|1114|1205|1317|1969|3024|1047"  # the same of MySQL; 1047: of Galera
)
CONFLICT = re.compile("23503|23505|SQLITE_CONSTRAINT_(FOREIGNKEY|PRIMARYKEY|UNIQUE)|1062|1451|1452")


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(HTTPException, render_error)
    app.register_error_handler(exc.DBAPIError, handle_database_error)
    app.register_error_handler(exc.TimeoutError, handle_database_error)
    app.register_error_handler(StaleDataError, handle_conflict)


def render_error(error: HTTPException) -> ResponseReturnValue:
{%- if cookiecutter.interface == "pages+api" %}
    """Return an error of the API as JSON, and others as a page."""
    return api.render_problem(error) if api.is_api_request() else pages.render_error_page(error)
{%- elif cookiecutter.interface == "api" %}
    """Return an error as JSON."""
    return api.render_problem(error)
{%- else %}
    """Return an error as a page."""
    return pages.render_error_page(error)
{%- endif %}


def handle_database_error(error: exc.DBAPIError | exc.TimeoutError) -> ResponseReturnValue:
    """Return 409 for a conflict, 503 for a lost connection or a temporary fault, else re-raise."""
    if isinstance(error, exc.DBAPIError) and not error.connection_invalidated:
        codes = [getattr(error.orig, name, None) for name in ("sqlstate", "sqlite_errorname")]
        codes += getattr(error.orig, "args", ())[:1]  # MySQL's own code: its SQLSTATE says less
        if any(CONFLICT.fullmatch(str(code)) for code in codes):
            return handle_conflict(error, "The value is taken, or a reference would break.")
        if error.statement and not any(TEMPORARY.fullmatch(str(code)) for code in codes):
            raise error
        if {"25006", 1290, 1792, 1836}.intersection(codes):
            db.engine.dispose()  # read-only: after a failover, connect to the new primary
    current_app.logger.error("Database error: %s %s", request.method, request.path, exc_info=error)
    db.session.rollback()
    return render_error(ServiceUnavailable("Database error. Try again later.", retry_after=60))


def handle_conflict(error: object, text: str | None = None) -> ResponseReturnValue:
    """Return 409: the row has changed since it was read, or conflicts with another one."""
    db.session.rollback()
    return render_error(Conflict(text))
