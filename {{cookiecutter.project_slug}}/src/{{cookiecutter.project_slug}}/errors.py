"""Answers to requests that fail."""

from __future__ import annotations

import re

from flask import (
    Flask,
    current_app,
{%- if "pages" in cookiecutter.interface %}
    render_template,
{%- endif %}
    request,
)
from sqlalchemy import exc
from werkzeug import Response, exceptions
{% if "api" in cookiecutter.interface %}
from . import api
{%- endif %}
from .database import get_error_codes

# Conditions that pass: a lock, a limit, a full disk, a failover.
# https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html,
# https://mariadb.com/kb/en/mariadb-error-code-reference/
TEMPORARY = re.compile(
    "40...|53...|55P03|57...|58030|SQLITE_(BUSY|CANTOPEN|FULL|IOERR|LOCKED|READONLY).*"
    "|1021|1047|1114|1205|1213|1317|1969|3024"
)


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(exceptions.HTTPException, handle_http_exception)
    app.register_error_handler(exc.DBAPIError, handle_database_error)
    app.register_error_handler(exc.TimeoutError, handle_database_error)


def handle_http_exception(error: exceptions.HTTPException) -> Response:
    """Answer with what is wrong; of an error in the application, only the log has details."""
{%- if cookiecutter.interface == "pages+api" %}
    if request.path.startswith(f"{api.PREFIX}/"):
        return api.make_problem(error)
{%- endif %}
{%- if "pages" in cookiecutter.interface %}
    response = error.get_response()
    if not isinstance(error, exceptions.SecurityError):  # for an untrusted host, no page has links
        response.data = render_template("error.html", error=error)
    return response
{%- else %}
    return api.make_problem(error)
{%- endif %}


def handle_database_error(error: exc.DBAPIError | exc.TimeoutError) -> Response:
    """Answer 503 where another try may succeed: the database is gone, busy or full.

    Raises:
        DBAPIError: The database refuses the statement.
    """
    if isinstance(error, exc.DBAPIError) and error.statement and not _is_temporary(error):
        raise error
    current_app.logger.error("No database for %s %s", request.method, request.path, exc_info=error)
    return handle_http_exception(
        exceptions.ServiceUnavailable(
            "The database is unavailable. Try again in a minute.", retry_after=60
        )
    )


def _is_temporary(error: exc.DBAPIError) -> bool:
    codes = get_error_codes(error.orig)
    return error.connection_invalidated or any(map(TEMPORARY.fullmatch, codes))
