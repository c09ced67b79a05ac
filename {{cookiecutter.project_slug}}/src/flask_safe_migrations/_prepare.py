"""Brings the database to where this code needs it: created, upgraded and, if it is new, seeded."""

from typing import Any

from alembic import command

from . import _server
from ._differences import UnknownRevision
from ._reset import is_of_this_project
from ._revisions import connect
from ._state import get_state


def prepare() -> list[str]:
    """Create the database if it is missing, upgrade it, and seed it if it is new.

    Returns:
        What was done, one sentence each.

    Raises:
        DatabaseUnavailable: There is no database, and none can be created.
        alembic.util.CommandError: A revision failed.
    """
    state = get_state()
    done = []
    if not _server.is_in_memory(state.url):
        try:
            _server.check_database(state.url)
        except _server.DatabaseUnavailable as error:
            if not error.missing:
                raise
            _server.create_database(state.url)
            done.append(f"Created the database {_server.describe_database(state.url)}.")
    config: Any = state.migrate.get_config()
    try:
        command.upgrade(config, "head")
    except UnknownRevision as error:
        with connect(state.engine) as connection:
            if not is_of_this_project(connection, state):
                raise
        done.append(f"A newer release has migrated the database to {error.revision}.")
    if config.attributes.get("is_new_database") and state.seed:
        state.seed()
        done.append("Seeded it.")
    return done
