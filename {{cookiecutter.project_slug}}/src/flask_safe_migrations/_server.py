"""Reaches the database server: connects, explains why that fails, creates and drops databases."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

CONNECT_TIMEOUT = 3  # seconds

Options = dict[str, Any]
# How the drivers call these limits. psycopg's limit for connecting covers the server's greeting.
CONNECT_OPTIONS = dict.fromkeys(("psycopg", "psycopg2", "pymysql", "mysqldb"), "connect_timeout")
CONNECT_OPTIONS["mysqlconnector"] = "connection_timeout"
READ_OPTIONS = {"pymysql": "read_timeout", "mysqldb": "read_timeout"}
# Limits of an application's queries: a statement of a migration may take longer.
QUERY_LIMITS = ("read_timeout", "write_timeout")
# A lock that was not available, and a deadlock, of PostgreSQL and MySQL. In a Galera cluster the latter
# is a change that another node has made first; 1047 comes from a node that has lost the others.
TEMPORARY = {"55P03", "40P01", "1205", "1213", "1047"}


class DatabaseUnavailable(Exception):
    """The database can't be used. The text says where it is, why, and what to do."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing  # whether the server answers, but has no database of this name


def is_in_memory(url: URL) -> bool:
    """Return whether it is an SQLite database that ends with its process."""
    return url.get_backend_name() == "sqlite" and ":memory:" in (url.database or ":memory:")


def describe_database(url: URL) -> str:
    """Return where the database is, without user and password, as in "shop on localhost:5432"."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    return f"{url.database} on {url.host or 'this machine'}{port}"


def migration_options(url: URL) -> Options:
    """Return the engine options of the application that a connection for migrations takes over."""
    given = current_app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {})
    kept = {name: value for name, value in given.items() if not name.startswith(("pool", "max_"))}
    kept.pop("isolation_level", None)
    kept["poolclass"] = NullPool
    kept["connect_args"] = connect_args(url, kept.get("connect_args", {}))
    return kept


def connect_args(url: URL, given: Options | None = None, read_timeout: float = 0) -> Options:
    """Return options for connecting, with a limit of time where the address has none."""
    driver = url.get_driver_name()
    limits = {CONNECT_OPTIONS.get(driver): CONNECT_TIMEOUT, READ_OPTIONS.get(driver): read_timeout}
    kept = {name: value for name, value in (given or {}).items() if name not in QUERY_LIMITS}
    skipped = {None, *url.query}
    return kept | {str(it): limit for it, limit in limits.items() if limit and it not in skipped}


def check_database(url: URL) -> None:
    """Connect to the database once, or raise DatabaseUnavailable within a few seconds."""
    started = time.monotonic()
    try:
        _connect(url)
    except DBAPIError as error:
        answers = time.monotonic() - started < CONNECT_TIMEOUT  # else it need not be asked again
        is_there = _is_there(url) if answers else None
        if is_there:
            with suppress(DBAPIError):
                _connect(url)  # another process has created it since
                return
        place, folder = describe_database(url), Path(url.database or "").parent
        if is_there is False:
            said = f"There is no database {place}. To create it, run: flask db prepare"
            raise DatabaseUnavailable(said, missing=True) from error
        remedy = "Start the database, or correct DATABASE_URL."
        if url.get_backend_name() == "sqlite" and not folder.is_dir():
            remedy = f"Create its folder, {folder}, or change DATABASE_URL."
        said = f"The database {place} can't be used: {get_reason(error)}. {remedy}"
        raise DatabaseUnavailable(said) from error


def create_database(url: URL) -> None:
    """Create the database, or raise DatabaseUnavailable if it isn't there afterwards."""
    encoding = "" if url.get_backend_name() == "postgresql" else " CHARACTER SET utf8mb4"
    try:
        _run_on_server(url, "CREATE DATABASE {name}" + encoding)
    except DatabaseUnavailable:
        with suppress(DatabaseUnavailable):
            check_database(url)
            return
        raise


def drop_database(url: URL) -> None:
    """Drop the database if it is there, or raise DatabaseUnavailable."""
    _run_on_server(url, "DROP DATABASE IF EXISTS {name}")


def get_reason(error: DBAPIError) -> str:
    """Return what the database or its driver said, on one line."""
    said = error.orig.args[-1] if error.orig and error.orig.args else error
    return " ".join(str(said).split()).rstrip(".?")


def get_codes(error: DBAPIError) -> set[str]:
    """Return the codes by which the database and its driver call the error."""
    names = [getattr(error.orig, name, None) for name in ("sqlstate", "sqlite_errorname")]
    names += getattr(error.orig, "args", ())[:1]  # MySQL has one SQLSTATE for many errors
    return {str(name) for name in names if name}


def is_temporary(error: Exception) -> bool:
    """Return whether the transaction may succeed when it is run again."""
    if not isinstance(error, DBAPIError):
        return False
    return bool(get_codes(error) & TEMPORARY) or "SAVEPOINT" in get_reason(error)


def _connect(url: URL) -> None:
    question = "PRAGMA schema_version" if url.get_backend_name() == "sqlite" else "SELECT 1"
    with _create_engine(url).connect() as connection:
        connection.exec_driver_sql(question)


def _create_engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401
    given = current_app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {}).get("connect_args", {})
    arguments = connect_args(url, given, CONNECT_TIMEOUT)
    return create_engine(url, poolclass=NullPool, connect_args=arguments, **options)


def _create_server_engine(url: URL) -> Engine:
    """Return an engine for the server without the database; each statement is committed."""
    # PostgreSQL has a database for such work; the others need none.
    other = "postgres" if url.get_backend_name() == "postgresql" else None
    place = url.username, url.password, url.host, url.port, other, url.query
    return _create_engine(URL.create(url.drivername, *place), isolation_level="AUTOCOMMIT")


def _run_on_server(url: URL, statement: str) -> None:
    engine = _create_server_engine(url)
    name = engine.dialect.identifier_preparer.quote_identifier(url.database or "")
    statement = statement.format(name=name)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        raise DatabaseUnavailable(f"{statement} failed: {get_reason(error)}.") from error


def _is_there(url: URL) -> bool | None:
    """Return whether the server has the database, or None where the server can't be asked."""
    on_postgresql = url.get_backend_name() == "postgresql"
    kept = "pg_database WHERE dat" if on_postgresql else "information_schema.schemata WHERE schema_"
    query = text(f"SELECT count(*) FROM {kept}name = :name")  # noqa: S608
    try:
        with _create_server_engine(url).connect() as connection:
            return bool(connection.scalar(query, {"name": url.database}))
    except DBAPIError:
        return None
