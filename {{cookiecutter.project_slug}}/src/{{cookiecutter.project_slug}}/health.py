"""What a load balancer asks: does the process live, and can it serve?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint, copy_current_request_context, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from .database import revisions

PATIENCE = 0.8  # seconds; a balancer waits for one

blueprint = Blueprint("health", __name__)
database = ThreadPoolExecutor(max_workers=1)  # a thread that may be held up


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer while the process lives; the database is not asked."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 while the database answers and none of this code's revisions is pending, else 503.

    The answer comes within a second, also where the database's doesn't.

    A revision that this code doesn't know was made by a newer release, which migrates before it
    replaces this one: until then, this one still serves.
    """
    if not revisions.exist():
        return {"status": "error", "reason": "this code has no migrations"}, 503
    asked = database.submit(copy_current_request_context(revisions.pending))
    try:
        pending = asked.result(PATIENCE)
    except (SQLAlchemyError, TimeoutError):
        asked.cancel()  # if it waits for another, which is held up
        current_app.logger.exception("The database does not answer")
        return {"status": "error", "reason": "the database does not answer"}, 503
    if pending:
        return {"status": "error", "reason": "migrations are pending", "pending": pending}, 503
    return {"status": "ok"}
