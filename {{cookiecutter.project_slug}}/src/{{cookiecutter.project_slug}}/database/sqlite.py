"""SQLite as a server-side database needs it: https://sqlite.org/pragma.html."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT = 10_000  # milliseconds that a writer waits for another one


def configure(engine: Engine) -> None:
    """Set up each connection that the engine will make."""
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    # The driver would begin transactions late and leave schema changes and savepoints outside:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer don't wait for each other
    connection.execute("PRAGMA synchronous=NORMAL")  # safe in WAL mode
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
