"""The database: the session, the base class of the models, and how the application connects."""

import enum
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, has_request_context, request
from flask_safe_migrations import SafeMigrate, is_in_memory, name_check
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, DateTime, Enum, MetaData, String, Table, event, make_url
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from .config import MIGRATIONS_FOLDER

CONNECT_TIMEOUT = 3  # seconds
POOL_TIMEOUT = 10  # seconds that a request waits for a connection
MAX_INTEGER = 2**31 - 1  # of an INTEGER column, such as an id
NO_LIMIT = 2_000_000  # seconds: some drivers refuse 0, and PostgreSQL's limit is 2**31 - 1 ms


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in time, always in UTC: SQLite and MySQL store no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value and not value.tzinfo:
            raise ValueError(f"{value!r} has no time zone: write datetime.now(UTC)")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class Base(DeclarativeBase):
    """What all models share: https://docs.sqlalchemy.org/en/21/orm/quickstart.html."""

    # Not `type_annotation_map = …`: SQLAlchemy refuses the copy that Flask-SQLAlchemy makes of it.
    registry = registry(
        # Migrations drop constraints by name: https://alembic.sqlalchemy.org/en/latest/naming.html
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "check": name_check,  # for "ck" without a name: a hash of the condition
                "ck": "ck_%(table_name)s_%(check)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            str: String(255),  # MySQL has no string type without a length
            datetime: UtcDateTime(),
            enum.Enum: Enum(enum.Enum, native_enum=False),  # stored as text
        },
    )


# Objects stay readable after a commit, without another query.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = SafeMigrate(directory=MIGRATIONS_FOLDER)


def init_app(app: Flask) -> None:
    """Connect the application to its database."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    seconds = app.config["QUERY_TIMEOUT"] or NO_LIMIT
    behind_pooler = bool(app.config["MIGRATION_DATABASE_URL"])  # set only to bypass one
    options: dict[str, Any] = {"hide_parameters": not app.debug, "pool_pre_ping": True}
    options["connect_args"] = get_connect_args(url, seconds, behind_pooler)
    if not is_in_memory(url):
        size = app.config["WEB_THREADS"] + 1  # one for each thread, and one for /readyz
        options |= {"pool_size": size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT}
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", options)
    app.config["SQLALCHEMY_RECORD_QUERIES"] = True  # for the log
    db.init_app(app)
    app.teardown_appcontext(_end_session)  # runs before Flask-SQLAlchemy's, which would raise
    with app.app_context():  # db.engine needs it
        if url.get_backend_name() == "sqlite":
            event.listen(db.engine, "connect", _set_up_sqlite)
            event.listen(db.engine, "begin", _begin_on_sqlite)
        elif url.get_backend_name() == "postgresql" and behind_pooler:
            # In each transaction: PgBouncer shares sessions, so none can keep the timeout.
            limit = f"SET LOCAL statement_timeout = {seconds * 1000}"
            event.listen(db.engine, "begin", lambda connection: connection.exec_driver_sql(limit))


def get_connect_args(url: URL, seconds: int, behind_pooler: bool = False) -> dict[str, Any]:
    """Return timeouts and UTC for these drivers, nothing for others. Options in the URL win."""
    mysql_limits = f"lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
    by_driver: dict[str, dict[str, Any]] = {
        # _begin_on_sqlite sends BEGIN: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
        "pysqlite": {"timeout": seconds, "isolation_level": None},
        "psycopg": {  # https://www.postgresql.org/docs/current/libpq-connect.html
            "connect_timeout": CONNECT_TIMEOUT,
            "tcp_user_timeout": seconds * 1000,
            "options": f"-c statement_timeout={seconds * 1000}",
        },
        "pymysql": {  # https://pymysql.readthedocs.io/en/latest/modules/connections.html
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": seconds,
            "init_command": f"SET time_zone = '+00:00', {mysql_limits}",
        },
    }
    if behind_pooler:
        del by_driver["psycopg"]["options"]  # see init_app
        # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html#pgbouncer
        by_driver["psycopg"]["prepare_threshold"] = None
    args = by_driver.get(url.get_driver_name(), {})
    return {name: value for name, value in args.items() if name not in url.query}


@event.listens_for(Engine, "do_connect")
def _create_sqlite_file(dialect: Dialect, record: object, args: list[str], options: object) -> None:
    """Create the file of an SQLite database so that only its owner can read it."""
    if dialect.name == "sqlite" and Path(args[0]).is_absolute():  # not :memory:
        with suppress(OSError):  # never open an existing file: https://sqlite.org/howtocorrupt.html
            Path(args[0]).touch(0o600, exist_ok=False)


@event.listens_for(Table, "before_create")
def _set_charset(table: Table, connection: Connection, **options: object) -> None:
    """Use utf8mb4 on MySQL, even if the database has another default."""
    name, query = connection.dialect.name, "SELECT @@character_set_database"
    execute = getattr(connection, "exec_driver_sql", None)  # upgrade --sql has a MockConnection
    if name in ("mysql", "mariadb") and execute and execute(query).scalar() != "utf8mb4":
        table.dialect_kwargs.setdefault(f"{name}_charset", "utf8mb4")


def _set_up_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")  # https://sqlite.org/pragma.html
    # icontains() calls lower(), and SQLite's own knows ASCII only: https://sqlite.org/lang_corefunc.html#lower
    connection.create_function("lower", 1, lambda text: text and str(text).casefold())


def _begin_on_sqlite(connection: Connection) -> None:
    # A write after a read can fail: https://sqlite.org/lang_transaction.html. So lock first, unless
    # the request only reads. A view that writes on GET sets g.writes before its first query.
    reads = has_request_context() and request.method in ("GET", "HEAD", "OPTIONS")
    connection.exec_driver_sql("BEGIN" if reads and "writes" not in g else "BEGIN IMMEDIATE")


def _end_session(error: BaseException | None) -> None:
    """Remove the session. A failure here must not replace the response, which is ready."""
    try:
        db.session.remove()
    except DBAPIError:
        current_app.logger.warning("Lost the database before the request ended", exc_info=True)
        db.session().invalidate()  # the same session: remove() raised before it forgot it
