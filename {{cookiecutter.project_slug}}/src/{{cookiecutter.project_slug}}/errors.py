"""What is answered where a request can't be: what is wrong, in the form of what was asked for."""

from __future__ import annotations

import re

from flask import Flask, current_app
{%- if "pages" in cookiecutter.interface %}, render_template{% endif %}
{%- if cookiecutter.interface == "pages+api" %}, request{% endif %}
from sqlalchemy import exc
from werkzeug import Response
from werkzeug.exceptions import HTTPException
{%- if "pages" in cookiecutter.interface %}, SecurityError{% endif %}, ServiceUnavailable
{% if "api" in cookiecutter.interface %}
from . import api
{%- endif %}

# What passes by itself, or when there is room again: a lock that lasts, a limit, a full disk.
# https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html,
# https://mariadb.com/kb/en/mariadb-error-code-reference/
TEMPORARY = re.compile(
    "53...|55P03|57...|40...|58030|SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN).*"
    "|1021|1114|1205|1213|1317|1969|3024"
)


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, {{ "show" if "pages" in cookiecutter.interface else "api.problem" }})
    for error in (exc.InterfaceError, exc.OperationalError, exc.TimeoutError):
        app.register_error_handler(error, _say_unavailable)


def _say_unavailable(
    error: exc.InterfaceError | exc.OperationalError | exc.TimeoutError,
) -> Response:
    """Where the database is gone, busy or full, another try may succeed.

    Raises:
        Exception: the error itself, where the database has refused a statement.
    """
    if isinstance(error, exc.DBAPIError) and not _is_temporary(error):
        raise error
    current_app.logger.error("The database is unavailable", exc_info=error)
    return {{ "show" if "pages" in cookiecutter.interface else "api.problem" }}(
        ServiceUnavailable("The database is unavailable. Try again in a minute.", retry_after=60)
    )
{%- if "pages" in cookiecutter.interface %}


def show(error: HTTPException) -> Response:
    """Of an error in the application itself, nothing is shown: the log has it."""
{%- if "api" in cookiecutter.interface %}
    if request.path.startswith(f"{api.PREFIX}/"):
        return api.problem(error)
{%- endif %}
    response = error.get_response()
    if not isinstance(error, SecurityError):  # for a host that isn't ours, no page can have links
        response.data = render_template("error.html", error=error)
    return response
{%- endif %}


def _is_temporary(error: exc.DBAPIError) -> bool:
    """Return whether another try may succeed, because nothing is wrong with the statement."""
    refused = error.statement is not None and not error.connection_invalidated
    orig = error.orig
    codes = [getattr(orig, name, None) for name in ("sqlstate", "sqlite_errorname")]
    codes += getattr(orig, "args", ())[:1]  # MySQL has one SQLSTATE for many errors
    return not refused or any(TEMPORARY.fullmatch(str(code)) for code in codes)
