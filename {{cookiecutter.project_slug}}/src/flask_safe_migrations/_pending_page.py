"""Shows, in development, a page that lists the pending migrations and has the button that runs them."""

from __future__ import annotations

import hmac

from alembic.util import CommandError
from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import ServiceUnavailable

from ._prepare import prepare
from ._revisions import pending_revisions
from ._server import DatabaseUnavailable, check_database
from ._state import get_state

blueprint = Blueprint(
    "safe_migrations",
    __name__,
    url_prefix="/pending-migrations",
    template_folder="templates",
    static_folder="static",
)
# What is served all the same: this page, files, and health checks under their usual addresses.
ENDPOINTS_SERVED = ("safe_migrations.", "static")
PATHS_SERVED = ("/healthz", "/livez", "/readyz")


@blueprint.before_app_request
def show_page() -> ResponseReturnValue | None:
    """Answer in place of the application while migrations are pending.

    Raises:
        ServiceUnavailable: They are, and the request is not for a page.
    """
    if (request.endpoint or "").startswith(ENDPOINTS_SERVED) or request.path in PATHS_SERVED:
        return None
    try:
        pending = pending_revisions()
    except DBAPIError:
        return _answer(problem=_explain())
    return _answer(pending=pending) if pending else None


@blueprint.post("/")
def upgrade() -> ResponseReturnValue:
    """Run `flask db prepare`, and go back to the application."""
    if not hmac.compare_digest(request.form.get("token", ""), get_state().form_token):
        abort(400, "The form is too old, or comes from another site. Load the page again.")
    try:
        prepare()
    except (DatabaseUnavailable, CommandError) as error:
        return _answer(problem=str(error))
    return redirect(f"{request.script_root}/")


def _explain() -> str:
    try:
        check_database(get_state().url)
    except DatabaseUnavailable as error:
        return str(error)
    return "The database could not be asked for its revision."


def _answer(problem: str = "", pending: list[str] | None = None) -> ResponseReturnValue:
    accepted = request.accept_mimetypes
    if accepted["text/html"] <= accepted["application/json"]:  # a browser prefers pages
        reason = problem or f"Migrations are pending: {', '.join(pending or [])}."
        raise ServiceUnavailable(f"{reason} To run them: flask db prepare")
    page = render_template(
        "flask_safe_migrations/pending.html",
        problem=problem,
        pending=pending or [],
        token=get_state().form_token,
    )
    return page, 503
