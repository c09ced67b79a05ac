"""What a load balancer asks: does the process live, and can it serve?"""

from __future__ import annotations

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from .database import revisions

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer while the process lives; the database is not asked."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 while the database answers and none of this code's revisions is pending, else 503.

    A revision that this code doesn't know was made by a newer release, which migrates before it
    replaces this one: until then, this one still serves.
    """
    try:
        pending = revisions.pending()
    except SQLAlchemyError:
        current_app.logger.exception("The database does not answer")
        return {"status": "error", "reason": "the database does not answer"}, 503
    if pending:
        return {"status": "error", "reason": "migrations are pending", "pending": pending}, 503
    return {"status": "ok"}
