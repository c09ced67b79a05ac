"""The database server: how it is reached, what is wrong when it isn't, and databases made on it."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

CONNECT_TIMEOUT = 3  # seconds

# How the drivers spell these limits; psycopg's limit for connecting covers the server's greeting.
CONNECT_OPTIONS = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mysqlconnector": "connection_timeout",
}
READ_OPTIONS = {"pymysql": "read_timeout", "mysqldb": "read_timeout"}

# What passes by itself, or when there is room again: a lock that lasts, a limit, a full disk.
# https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html,
# https://mariadb.com/kb/en/mariadb-error-code-reference/
TEMPORARY = re.compile(
    "53...|55P03|57...|40...|58030|SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN).*"
    "|1021|1114|1205|1213|1317|1969|3024"
)

IS_THERE = {
    "postgresql": "SELECT count(*) FROM pg_database WHERE datname = :name",
    "mysql": "SELECT count(*) FROM information_schema.schemata WHERE schema_name = :name",
    "mariadb": "SELECT count(*) FROM information_schema.schemata WHERE schema_name = :name",
}


class Unavailable(Exception):
    """The database can't be used. The text says where it is, why, and what to do.

    Attributes:
        missing: the server answers, but has no database of this name.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


def time_limits(url: URL, read: float) -> dict[str, Any]:
    """Options for connecting, but for those that the address has itself.

    `read` is in seconds; 0 is for ever.
    """
    driver = url.get_driver_name()
    limits = {CONNECT_OPTIONS.get(driver): CONNECT_TIMEOUT, READ_OPTIONS.get(driver): read}
    return {
        name: limit for name, limit in limits.items() if name and limit and name not in url.query
    }


def through_pooler(url: URL) -> dict[str, Any]:
    """Options for connecting through a pooler, which may give each transaction another session.

    psycopg's prepared statements belong to one: https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
    """
    return {"prepare_threshold": None} if url.get_driver_name() == "psycopg" else {}


def is_in_memory(url: URL) -> bool:
    """Whether it is an SQLite database that ends with the process."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def place(url: URL) -> str:
    """Where the database is, for people."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    return f"{url.database} on {url.host or 'this machine'}{port}"


def check(url: URL) -> None:
    """Connect to the database once, and wait a few seconds at most.

    Raises:
        Unavailable: it can't be done.
    """
    started = time.monotonic()
    try:
        _connect(url)
    except DBAPIError as error:
        answers = time.monotonic() - started < CONNECT_TIMEOUT  # else it need not be asked again
        is_there = _is_there(url) if answers else None
        if is_there:  # servers only
            with suppress(DBAPIError):
                _connect(url)  # somebody else has created it since
                return
        if is_there is False:  # servers only
            message = f"There is no database {place(url)}. To create it: uv run flask db prepare"
            raise Unavailable(message, missing=True) from error
        message = f"The database {place(url)} can't be used: {reason(error)}. {_remedy(url)}"
        raise Unavailable(message) from error


def _connect(url: URL) -> None:
    limits = time_limits(url, read=CONNECT_TIMEOUT)
    question = "PRAGMA schema_version" if url.get_backend_name() == "sqlite" else "SELECT 1"
    with create_engine(url, poolclass=NullPool, connect_args=limits).connect() as connection:
        connection.exec_driver_sql(question)


def reason(error: DBAPIError) -> str:
    """What the database or its driver said, on one line."""
    said = error.orig.args[-1] if error.orig and error.orig.args else error
    return " ".join(str(said).split()).rstrip(".")


def codes(error: DBAPIError) -> set[str]:
    """What the database and its driver call the error."""
    orig = error.orig
    names = [getattr(orig, name, None) for name in ("sqlstate", "sqlite_errorname")]
    names += getattr(orig, "args", ())[:1]  # MySQL has one SQLSTATE for many errors
    return {str(name) for name in names if name}


def may_pass(error: DBAPIError) -> bool:
    """Whether another try may succeed, because nothing is wrong with the statement."""
    refused = error.statement is not None and not error.connection_invalidated
    return not refused or any(map(TEMPORARY.fullmatch, codes(error)))


def create_database(url: URL) -> None:  # servers only
    """Make the database, unless somebody else makes it in this very moment.

    Raises:
        Unavailable: the server does not let us.
    """
    encoding = "" if url.get_backend_name() == "postgresql" else " CHARACTER SET utf8mb4"
    try:
        _on_server(url, "CREATE DATABASE {name}" + encoding)
    except Unavailable:
        with suppress(Unavailable):
            check(url)
            return
        raise


def drop_database(url: URL) -> None:  # servers only
    """Delete the database, if it is there.

    Raises:
        Unavailable: the server does not let us.
    """
    _on_server(url, "DROP DATABASE IF EXISTS {name}")


def _on_server(url: URL, statement: str) -> None:  # servers only
    engine = _server(url)
    name = engine.dialect.identifier_preparer.quote_identifier(url.database or "")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement.format(name=name))
    except DBAPIError as error:
        raise Unavailable(f"{statement.format(name=name)} failed: {reason(error)}.") from error


def _server(url: URL) -> Engine:  # servers only
    """The server without the database; each statement is final."""
    # PostgreSQL has a database for such work; the others need none.
    other = "postgres" if url.get_backend_name() == "postgresql" else None
    parts = (url.drivername, url.username, url.password, url.host, url.port, other, url.query)
    return create_engine(
        URL.create(*parts),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args=time_limits(url, read=CONNECT_TIMEOUT),
    )


def _is_there(url: URL) -> bool | None:
    """Whether the server has the database, if it can be asked."""
    query = IS_THERE.get(url.get_backend_name())
    if not query:
        return None
    try:  # servers only
        with _server(url).connect() as connection:
            return bool(connection.scalar(text(query), {"name": url.database}))
    except DBAPIError:  # servers only
        return None


def _remedy(url: URL) -> str:
    folder = Path(url.database or "").parent
    if url.get_backend_name() == "sqlite" and not folder.is_dir():
        return f"Make its folder, {folder}, or change DATABASE_URL in .env."
    return "Correct DATABASE_URL in .env, or see to the database."
