"""One migrating process at a time: the others wait, then find nothing left to do.

Each lock ends with its connection, so that a process that is killed leaves none behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

PAUSE = 0.2  # seconds between two tries
POSTGRESQL_KEY = 0x666C61736B6462  # "flaskdb"; such locks belong to one database


class Occupied(Exception):
    """Another process migrates this database. The text says for how long we waited, and who."""


@contextmanager
def migration_lock(connection: Connection, patience: float) -> Iterator[None]:
    """Hold the lock of the database that is connected.

    SQLite's own lock for writing serves there: see `engine.py`.

    Args:
        patience: seconds to wait for another process.

    Raises:
        Occupied: the other process is still at it.
    """
    dialect = connection.dialect.name
    if dialect == "postgresql":
        _wait(connection, patience, _try_postgresql, _postgresql_holder)
        try:
            yield
        finally:
            _release(connection, f"SELECT pg_advisory_unlock({POSTGRESQL_KEY})")
    elif dialect in ("mysql", "mariadb"):
        _wait(connection, patience, _try_mysql, _mysql_holder)
        try:
            yield
        finally:
            _release(connection, f"SELECT RELEASE_LOCK({MYSQL_NAME})")
    else:
        yield


def _wait(
    connection: Connection,
    patience: float,
    attempt: Callable[[Connection], bool],
    holder: Callable[[Connection], str],
) -> None:
    deadline = time.monotonic() + patience
    while not attempt(connection):
        if time.monotonic() > deadline:
            raise Occupied(
                f"Another process migrates this database: {holder(connection)}. Waited"
                f" {patience:g} s for it. Try again when it has ended, or see to it."
            )
        # A transaction that stays open meanwhile would block CREATE INDEX CONCURRENTLY in the
        # other process, and would read the revisions as they were before the wait.
        connection.rollback()
        time.sleep(PAUSE)
    connection.commit()


def _release(connection: Connection, statement: str) -> None:
    if not connection.invalidated:
        connection.rollback()
        connection.exec_driver_sql(statement)
        connection.commit()


def _try_postgresql(connection: Connection) -> bool:
    statement = f"SELECT pg_try_advisory_lock({POSTGRESQL_KEY})"
    return bool(connection.exec_driver_sql(statement).scalar())


def _postgresql_holder(connection: Connection) -> str:
    found = connection.exec_driver_sql(
        "SELECT pid, usename, client_addr, date_trunc('second', backend_start)"  # noqa: S608
        " FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted"
        f" AND (classid::bigint << 32 | objid::bigint) = {POSTGRESQL_KEY}"
    ).first()
    if not found:
        return "it has just ended"
    pid, user, address, since = found
    return f"process {pid} of user {user} from {address or 'this machine'}, since {since}"


# Such locks belong to the whole server, and have names of at most 64 characters.
MYSQL_NAME = "CONCAT('flask db ', SHA1(DATABASE()))"


def _try_mysql(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql(f"SELECT GET_LOCK({MYSQL_NAME}, 0)").scalar())


def _mysql_holder(connection: Connection) -> str:
    found = connection.exec_driver_sql(
        "SELECT id, user, host, time FROM information_schema.processlist"  # noqa: S608
        f" WHERE id = IS_USED_LOCK({MYSQL_NAME})"
    ).first()
    if not found:
        return "it has just ended, or is hidden from this user"
    number, user, host, seconds = found
    return f"connection {number} of user {user} from {host}, idle or busy for {seconds} s"
