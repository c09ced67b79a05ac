"""What each new connection is told, so that the databases behave alike."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from functools import partial
from typing import Any

from flask import has_request_context, request
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from .server import CONNECT_TIMEOUT

BUSY_TIMEOUT = 10_000  # milliseconds that SQLite waits for another process that writes
CANCEL_TIMEOUT = 1  # seconds
# The attribute of a connection that says how many seconds its driver waits for an answer.
READ_TIMEOUTS = {"psycopg": "read_timeout", "pymysql": "_read_timeout"}


def configure(engine: Engine) -> None:
    """Set up each connection that the engine will make."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
    if engine.dialect.name in ("mysql", "mariadb"):  # MySQL only
        event.listen(engine, "connect", _set_up_mysql)


def limit_queries(engine: Engine, seconds: int) -> None:
    """Let a query wait so long for its answer, and the ping before it only as long as connecting may."""
    driver = engine.dialect.driver
    if driver not in READ_TIMEOUTS or not seconds or "read_timeout" in engine.url.query:
        return
    name = READ_TIMEOUTS[driver]  # servers only
    set_up = {"psycopg": _limit_psycopg, "pymysql": _limit_locks}[driver]  # servers only

    def use(connection: DBAPIConnection, *others: object) -> None:  # servers only
        setattr(connection, name, seconds)

    def rest(connection: DBAPIConnection | None, *others: object) -> None:  # servers only
        if connection:
            setattr(connection, name, CONNECT_TIMEOUT)

    event.listen(engine, "connect", partial(set_up, seconds))  # servers only
    event.listen(engine, "checkout", use)  # servers only
    event.listen(engine, "checkin", rest)  # servers only


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


def _limit_locks(  # MySQL only
    seconds: int, connection: DBAPIConnection, record: ConnectionPoolEntry
) -> None:
    """A query that nobody waits for any longer would go on waiting for its lock."""
    cursor = connection.cursor()
    cursor.execute(f"SET lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}")
    cursor.close()


def _limit_psycopg(  # PostgreSQL only
    seconds: int,
    connection: Any,  # noqa: ANN401
    record: ConnectionPoolEntry,
) -> None:
    """psycopg has no such limit. The server's, statement_timeout, is of no use where the server hangs,
    and PgBouncer does not pass it on.
    """
    wait = connection.wait
    connection.read_timeout = CONNECT_TIMEOUT

    def wait_no_longer(generator: object, **options: Any) -> Any:  # noqa: ANN401
        limit = connection.read_timeout
        started = time.monotonic()
        try:
            return wait(generator, **{"timeout": limit, **options})
        except Exception:
            if time.monotonic() - started >= limit:
                with suppress(Exception):
                    connection.cancel_safe(timeout=CANCEL_TIMEOUT)  # the server need not go on
                connection.close()
            raise

    connection.wait = wait_no_longer
