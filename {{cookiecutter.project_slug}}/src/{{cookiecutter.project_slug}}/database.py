"""The database: the session, the base class of the models, and how the application connects."""

from __future__ import annotations

import enum
import logging
from datetime import UTC, datetime
from typing import Any

from flask import Flask, has_request_context, request
from flask_safe_migrations import SafeMigrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, DateTime, Engine, Enum, MetaData, String, event, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from . import query_log
from .config import PROJECT_ROOT

CONNECT_TIMEOUT = 3  # seconds

log = logging.getLogger(__name__)

# Constraints need names that are the same on every database, or no revision can drop them.
# https://alembic.sqlalchemy.org/en/latest/naming.html
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in time, always in UTC: SQLite and MySQL store no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC.

        Raises:
            ValueError: The datetime has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: write datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment with its time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What all models share: https://docs.sqlalchemy.org/en/21/orm/quickstart.html."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={
            str: String(255),  # MySQL has no string type without a length
            datetime: UtcDateTime(),
            # PostgreSQL's own enums stay behind when a revision is undone.
            enum.Enum: Enum(enum.Enum, native_enum=False),
        },
    )


# What has been committed in a request can be read there without asking for it again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = SafeMigrate(db=db, directory=PROJECT_ROOT / "migrations")


def init_app(app: Flask) -> None:
    """Connect the application to its database."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    pooled = bool(app.config["MIGRATION_DATABASE_URL"])  # through a pooler such as PgBouncer
    options = {"connect_args": _connect_args(url, app.config["QUERY_TIMEOUT"], pooled)}
    if url.get_backend_name() != "sqlite":
        options["pool_pre_ping"] = True  # replace a connection that the server has closed
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", options)
    app.teardown_appcontext(_end_session)  # before that of Flask-SQLAlchemy
    db.init_app(app)
    with app.app_context():
        query_log.init_app(app, db.engine)
        if url.get_backend_name() == "sqlite":
            event.listen(db.engine, "connect", _set_up_sqlite)
            event.listen(db.engine, "begin", _begin_on_sqlite)


def _connect_args(url: URL, seconds: int, pooled: bool) -> dict[str, Any]:
    """Return the options of the driver: limits of time, but for those in the address.

    A pooler takes no settings of a session, and may give each transaction another one.
    """
    options: dict[str, dict[str, Any]] = {
        # https://www.postgresql.org/docs/current/libpq-connect.html
        "psycopg": {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": seconds * 1000}
        | (
            {"prepare_threshold": None}
            if pooled
            else {"options": f"-c statement_timeout={seconds * 1000}"}
        ),
        # https://pymysql.readthedocs.io/en/latest/modules/connections.html
        "pymysql": {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": seconds or None,
            "init_command": "SET time_zone = '+00:00'"
            + f", lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
            * bool(seconds),
        },
    }
    given = options.get(url.get_driver_name(), {})
    return {name: value for name, value in given.items() if name not in url.query}


def _set_up_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """Set up a connection: https://sqlite.org/pragma.html."""
    # The driver would begin transactions late and leave savepoints out of them:
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.cursor().execute(f"PRAGMA {pragma}")


def _begin_on_sqlite(connection: Connection) -> None:
    """Take the write lock at once, except in requests that only read.

    SQLite can't turn a transaction that reads into one that writes when another process has
    written meanwhile: https://sqlite.org/lang_transaction.html
    """
    only_reads = has_request_context() and request.method in ("GET", "HEAD", "OPTIONS")
{%- if cookiecutter.accounts == "yes" %}
    # The links in messages confirm an address, and so write.
    only_reads = only_reads and request.blueprint != "security"
{%- endif %}
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def _end_session(error: BaseException | None) -> None:
    """End the transaction. A finished answer doesn't depend on the server any more."""
    try:
        db.session.remove()
    except DBAPIError:
        log.warning("The database was gone before the end of the request", exc_info=True)
        db.session().invalidate()
