"""Lets one process migrate at a time, by a lock that ends with its connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection

RETRY_INTERVAL = 0.2  # seconds
POSTGRESQL_KEY = 0x666C61736B6462  # "flaskdb"; such locks belong to one database
# Such locks belong to the whole server, and have names of at most 64 characters.
MYSQL_NAME = "CONCAT('flask db ', LEFT(SHA2(DATABASE(), 256), 40))"


class MigrationLocked(Exception):
    """Another process is migrating the database. The text says who, and how long we waited."""


class _Lock(NamedTuple):
    """The lock of a kind of server."""

    acquire: str  # a query that returns whether the lock is ours now
    release: str
    find_holder: Callable[[Connection], str]


@contextmanager
def migration_lock(connection: Connection, timeout: float) -> Iterator[None]:
    """Hold the lock of the connected database. On SQLite, the write lock takes its place.

    Args:
        timeout: Seconds to wait for another process.

    Raises:
        MigrationLocked: The other process has not finished in this time.
    """
    lock = LOCKS.get(connection.dialect.name)
    if lock is None:
        yield
        return
    _acquire(connection, lock, timeout)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.exec_driver_sql(lock.release)
            connection.commit()


def _acquire(connection: Connection, lock: _Lock, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not connection.exec_driver_sql(lock.acquire).scalar():
        if time.monotonic() > deadline:
            raise MigrationLocked(
                f"Another process is migrating this database: {lock.find_holder(connection)}."
                f" Waited {timeout:g} s for it. Try again when it has finished, or end it."
            )
        # A transaction that stays open meanwhile would block CREATE INDEX CONCURRENTLY in the
        # other process, and would read the revisions as they were before the wait.
        connection.rollback()
        time.sleep(RETRY_INTERVAL)
    connection.commit()


def _find_postgresql_holder(connection: Connection) -> str:
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


def _find_mysql_holder(connection: Connection) -> str:
    found = connection.exec_driver_sql(
        "SELECT id, user, host, time FROM information_schema.processlist"  # noqa: S608
        f" WHERE id = IS_USED_LOCK({MYSQL_NAME})"
    ).first()
    if not found:
        return "it has just ended, or this user may not see it"
    number, user, host, seconds = found
    return f"connection {number} of user {user} from {host}, {seconds} s in its current state"


_POSTGRESQL = _Lock(
    # Not the function that waits: its transaction would deadlock with CREATE INDEX CONCURRENTLY.
    f"SELECT pg_try_advisory_lock({POSTGRESQL_KEY})",
    f"SELECT pg_advisory_unlock({POSTGRESQL_KEY})",
    _find_postgresql_holder,
)
_MYSQL = _Lock(
    f"SELECT GET_LOCK({MYSQL_NAME}, 0)",
    f"SELECT RELEASE_LOCK({MYSQL_NAME})",
    _find_mysql_holder,
)
LOCKS = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}
