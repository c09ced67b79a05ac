"""What each new connection is told, so that the databases behave alike."""

from __future__ import annotations

import sqlite3

from flask import has_request_context, request
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT = 10_000  # milliseconds that SQLite waits for another process that writes


def configure(engine: Engine) -> None:
    """Set up each connection that the engine will make."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
    if engine.dialect.name in ("mysql", "mariadb"):  # MySQL only
        event.listen(engine, "connect", _set_up_mysql)


def _set_up_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    """https://sqlite.org/pragma.html"""
    # The driver would begin transactions late and leave schema changes and savepoints outside:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer don't wait for each other
    connection.execute("PRAGMA synchronous=NORMAL")  # safe in WAL mode
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_on_sqlite(connection: Connection) -> None:
    """Take the lock for writing at once, but in requests that only read.

    SQLite refuses to turn a reading transaction into a writing one when another has written
    meanwhile, and does not wait then: https://sqlite.org/lang_transaction.html
    """
    only_reads = has_request_context() and request.method in ("GET", "HEAD", "OPTIONS")
{%- if cookiecutter.accounts == "yes" %}
    # The links in messages confirm an address, and so write.
    only_reads = only_reads and request.blueprint != "security"
{%- endif %}
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _set_up_mysql(  # MySQL only
    connection: DBAPIConnection, record: ConnectionPoolEntry
) -> None:
    """The time that a server default fills in is UTC, like every other."""
    cursor = connection.cursor()
    cursor.execute("SET time_zone = '+00:00'")
    cursor.close()
