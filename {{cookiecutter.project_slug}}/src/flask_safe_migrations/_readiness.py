"""Says whether the application can serve, for the health check that a load balancer calls."""

from contextvars import copy_context
from dataclasses import dataclass, field

from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from ._revisions import connect, find_pending, known_revisions, read_heads
from ._state import State, get_state

# Whether the server takes no writes, such as a replica: of its settings, for it isn't tried.
IS_READ_ONLY = dict.fromkeys(("mysql", "mariadb"), "SELECT @@global.read_only = 1")
IS_READ_ONLY["postgresql"] = "SELECT current_setting('transaction_read_only') = 'on'"


@dataclass
class Readiness:
    """The answer of `check_readiness`; it is true if the application can serve."""

    reason: str | None = None  # why it can't, in a few words
    pending: list[str] = field(default_factory=list)  # revisions that are not applied, oldest first

    def __bool__(self) -> bool:
        return self.reason is None


def check_readiness(timeout: float = 0.8) -> Readiness:
    """Return whether the database answers, takes writes, and has all revisions of this code.

    A revision that this code doesn't know was made by a newer release, which migrates before it
    replaces this one. Until then, this one still serves. The timeout is in seconds.
    """
    state = get_state()
    try:
        if not known_revisions(state.directory):
            return Readiness("this code has no migrations")
    except CommandError as error:
        return Readiness(str(error))
    # With the context of the request, by which an application may set up its connections.
    asked = state.readiness.submit(copy_context().run, _check_database, state.engine, state)
    try:
        return asked.result(timeout)
    except (SQLAlchemyError, TimeoutError):
        asked.cancel()  # if it waits for another, which is held up
        current_app.logger.exception("The database does not answer")
        return Readiness("the database does not answer")


def _check_database(engine: Engine, state: State) -> Readiness:
    with connect(engine) as connection:
        if pending := find_pending(state.directory, read_heads(connection, state)):
            return Readiness("migrations are pending", pending)
        if (sql := IS_READ_ONLY.get(connection.dialect.name)) and connection.scalar(text(sql)):
            return Readiness("the database takes no writes")
    return Readiness()
