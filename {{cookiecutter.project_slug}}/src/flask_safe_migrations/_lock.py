"""Lets one process migrate at a time, by a lock that ends with its connection or, in a cluster, by itself."""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ._server import get_codes, is_temporary

RETRY_INTERVAL = 0.2  # seconds
POSTGRESQL_KEY = 0x666C61736B6462  # "flaskdb"; such locks belong to one database
# Such locks belong to the whole server, and have names of at most 64 characters.
MYSQL_NAME = "CONCAT('flask db ', LEFT(SHA2(DATABASE(), 256), 40))"
RENEWAL_INTERVAL = 5  # seconds; see TAKE
CREATE = (
    "CREATE TABLE IF NOT EXISTS alembic_lock (id INTEGER PRIMARY KEY, owner VARCHAR(255) NOT NULL,"
    " claimed INTEGER NOT NULL, expires DATETIME NOT NULL)",
    "INSERT IGNORE INTO alembic_lock VALUES (1, '', 0, UTC_TIMESTAMP())",
)
TAKE = (
    "UPDATE alembic_lock SET owner = %s, claimed = 0, expires = UTC_TIMESTAMP() + INTERVAL 15 SECOND"
    " WHERE owner IN ('', %s) OR (claimed = 1 AND expires < UTC_TIMESTAMP())"
)
CLAIM = (
    "UPDATE alembic_lock SET claimed = 1, expires = UTC_TIMESTAMP() + INTERVAL 15 SECOND"
    " WHERE claimed = 0 AND expires < UTC_TIMESTAMP()"
)
FREE = "UPDATE alembic_lock SET owner = '' WHERE owner = %s"


class MigrationLocked(Exception):
    """Another process is migrating the database. The text says who, and how long we waited."""


class _SessionLock(NamedTuple):
    """A lock of the server, which ends with the connection."""

    acquire_query: str  # it returns whether the lock is ours now
    release_query: str
    holder_query: str

    def acquire(self, connection: Connection) -> bool:
        return bool(connection.exec_driver_sql(self.acquire_query).scalar())

    def release(self, connection: Connection) -> bool:
        if connection.invalidated:
            return True
        connection.rollback()
        is_released = bool(connection.exec_driver_sql(self.release_query).scalar())
        connection.commit()
        return is_released

    def find_holder(self, connection: Connection) -> str:
        found = connection.exec_driver_sql(self.holder_query).scalar()
        return str(found or "not visible to this database user, or just ended")


class _ClusterLock:
    """A row that all nodes of a Galera cluster certify: GET_LOCK holds on one of them only.

    https://galeracluster.com/library/documentation/certification-based-replication.html

    It expires unless it is renewed. A long ALTER TABLE keeps all nodes from writing, the owner of
    the lock included. So an expired one is claimed first, by which its owner has time once more.
    """

    def __init__(self) -> None:
        process = f"process {os.getpid()} on {socket.gethostname()}"
        self.owner = f"{process} ({secrets.token_hex(4)})"  # containers may be called the same
        self.is_over = Event()
        self.renewal: Thread | None = None

    def acquire(self, connection: Connection) -> bool:
        if _try(connection, TAKE, self.owner, self.owner):
            self.renewal = Thread(target=self._renew, args=[connection], daemon=True)
            self.renewal.start()
            return True
        if not _try(connection, "SELECT id FROM alembic_lock"):
            for statement in CREATE:
                _try(connection, statement)
        _try(connection, CLAIM)
        return False

    def release(self, connection: Connection) -> bool:
        self.is_over.set()
        if self.renewal:
            self.renewal.join()
        with connection.engine.connect() as own:
            return any(_try(own, FREE, self.owner) for _ in range(5))

    def find_holder(self, connection: Connection) -> str:
        return str(connection.exec_driver_sql("SELECT owner FROM alembic_lock").scalar())

    def _renew(self, connection: Connection) -> None:
        while not self.is_over.wait(RENEWAL_INTERVAL):
            with suppress(DBAPIError), connection.engine.connect() as own:
                _try(own, TAKE, self.owner, self.owner)


def _try(connection: Connection, statement: str, *parameters: str) -> bool:
    """Return whether the statement has found a row, and its commit was certified."""
    try:
        found = connection.exec_driver_sql(statement, parameters or None).rowcount
        connection.commit()
    except DBAPIError as error:
        connection.rollback()
        if not is_temporary(error) and "1146" not in get_codes(error):  # no such table
            raise
        return False
    return found > 0


@contextmanager
def migration_lock(connection: Connection, timeout: float) -> Iterator[None]:
    """Hold the lock of the connected database. On SQLite, the write lock takes its place."""
    lock: _SessionLock | _ClusterLock | None = LOCKS.get(connection.dialect.name)
    if lock is None:
        yield
        return
    if lock is _MYSQL:
        found = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
        lock = _ClusterLock() if found and found[1] == "ON" else lock
    deadline = time.monotonic() + timeout
    while not lock.acquire(connection):
        if time.monotonic() > deadline:
            raise MigrationLocked(
                f"Another process is migrating this database: {lock.find_holder(connection)}."
                f" Waited {timeout:g} s (MIGRATION_WAIT). Try again when it has ended, or stop it."
            )
        # A transaction that stays open meanwhile would block CREATE INDEX CONCURRENTLY in the
        # other process, and would read the revisions as they were before the wait.
        connection.rollback()
        time.sleep(RETRY_INTERVAL)
    connection.commit()
    try:
        yield
    finally:
        is_released = lock.release(connection)
    if not is_released:
        raise MigrationLocked(
            "The migration lock was lost, so another process may have migrated at the same time."
            " Check: flask db current. With a pooler, set MIGRATION_DATABASE_URL to the server."
        )


def is_pooled(connection: Connection) -> bool:
    """Return whether a pooler such as PgBouncer gives others the session, its locks and settings."""
    if connection.dialect.name != "postgresql":
        return False
    number = _get_session(connection)
    info = getattr(connection.connection.driver_connection, "info", None)
    if number == getattr(info, "backend_pid", None):  # of whom has answered the connection
        return False
    with suppress(DBAPIError), connection.engine.connect() as other:
        for _ in range(3):
            if _get_session(other) == number or _get_session(connection) != number:
                return True
    return False


def _get_session(connection: Connection) -> int | None:
    number: int | None = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    connection.rollback()
    return number


_POSTGRESQL = _SessionLock(
    # Not the function that waits: its transaction would deadlock with CREATE INDEX CONCURRENTLY.
    f"SELECT pg_try_advisory_lock({POSTGRESQL_KEY})",
    f"SELECT pg_advisory_unlock({POSTGRESQL_KEY})",
    "SELECT CONCAT('process ', pid, ' of user ', usename, ' from ', COALESCE(host(client_addr),"  # noqa: S608
    " 'this machine'), ', since ', date_trunc('second', backend_start))"
    " FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    f" AND (classid::bigint << 32 | objid::bigint) = {POSTGRESQL_KEY}",
)
_MYSQL = _SessionLock(
    f"SELECT GET_LOCK({MYSQL_NAME}, 0)",
    f"SELECT RELEASE_LOCK({MYSQL_NAME})",
    "SELECT CONCAT('connection ', id, ' of user ', user, ' from ', host, ', ', time,"  # noqa: S608
    " ' s in its current state') FROM information_schema.processlist"
    f" WHERE id = IS_USED_LOCK({MYSQL_NAME})",
)
LOCKS = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mariadb": _MYSQL}
