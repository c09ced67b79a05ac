"""In development: a page that says that migrations are pending, and has the button that runs them."""

from __future__ import annotations

from alembic.util import CommandError
from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError

from .database import revisions, server
from .database.migration import environment
from .database.prepare import prepare

blueprint = Blueprint("pending", __name__, url_prefix="/pending-migrations")
ALWAYS_SERVED = ("pending.", "health.", "static")


@blueprint.before_app_request
def show_page() -> ResponseReturnValue | None:
    """Answer in place of the application while the database isn't ready for it."""
    if (request.endpoint or "").startswith(ALWAYS_SERVED):
        return None
    try:
        pending = revisions.pending()
    except DBAPIError:
        return _page(problem=_problem())
    return _page(pending=pending) if pending else None


@blueprint.post("/")
def upgrade() -> ResponseReturnValue:
    """Do what `flask db prepare` does, and go back to the application."""
    try:
        prepare()
    except (server.Unavailable, CommandError) as problem:
        return _page(problem=str(problem))
    return redirect("/")


def _problem() -> str:
    try:
        server.check(environment.database_url())
    except server.Unavailable as problem:
        return str(problem)
    return "The database could not be asked for its revision."


def _page(problem: str = "", pending: list[str] | None = None) -> ResponseReturnValue:
    return render_template("pending.html", problem=problem, pending=pending or []), 503
