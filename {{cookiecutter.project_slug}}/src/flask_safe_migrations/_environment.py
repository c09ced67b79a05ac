"""Runs the Alembic command that is under way: connects, locks, limits, and applies the revisions."""

import gc
import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationInfo
from alembic.util import CommandError, to_tuple
from flask import current_app
from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from . import _autogenerate, _differences, _mysql_resume, _options, _revisions, _server, _sqlite
from . import _mysql_online as _mysql_online  # Alembic finds its classes
from ._lock import MigrationLocked, is_pooled, migration_lock
from ._mysql_resume import Progress
from ._server import DatabaseUnavailable
from ._state import get_state

# Seconds that one attempt to lock a table lasts, and that pass until the next.
LOCK_ATTEMPT = 1  # so short, for a statement that waits blocks all that come after it
LOCK_PAUSE = 1
MAX_WAIT = 2**31 - 1  # milliseconds, of SQLite
# https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
INVALID_INDEX = (
    "Index %s of table %s is invalid: a CREATE INDEX CONCURRENTLY was interrupted. The index slows"
    " writes, and no query uses it. In psql, run: DROP INDEX CONCURRENTLY %s; Then create it again."
)

log = logging.getLogger("alembic.env")


def run_environment() -> None:
    """Run the Alembic command that is under way, on the application's database: for `env.py`."""
    config = context.config
    if config.config_file_name and config.file_config.has_section("loggers"):
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    # The garbage collector would look through all that is imported, again for each few revisions.
    gc.freeze()
    try:
        with warnings.catch_warnings():
            # _sqlite keeps what SQLAlchemy and Alembic warn of.
            warnings.filterwarnings("ignore", "Unnamed CHECK|.*expression-based index")
            _run()
    finally:
        gc.unfreeze()


def _run() -> None:
    state = get_state()
    given = current_app.extensions["migrate"].configure_args
    options = _options.combine(given, state, context.get_x_argument(as_dictionary=False))
    process = partial(_autogenerate.process_directives, given.get("process_revision_directives"))
    options["process_revision_directives"] = process
    try:
        if _options.is_first_revision() and _options.is_requested():
            try:
                with connect() as connection:
                    _autogenerate.make_first_revision(options, connection=connection)
            except DatabaseUnavailable:
                _autogenerate.make_first_revision(options, url=state.url)
        elif context.is_offline_mode():
            dialect_opts = {"paramstyle": "named"} | options.get("dialect_opts", {})
            offline = {"url": state.url, "literal_binds": True, "dialect_opts": dialect_opts}
            context.configure(**options | offline)
            with context.begin_transaction():
                context.run_migrations()
        elif given := context.config.attributes.get("connection"):  # by a test
            with _revisions.connect(given) as connection:
                _run_on(connection, options)
        else:
            limit = get_seconds("MIGRATION_WAIT")
            with connect() as connection, migration_lock(connection, limit):
                _run_on(connection, options)
    except (DatabaseUnavailable, MigrationLocked) as error:
        raise CommandError(str(error)) from error
    except DBAPIError as error:
        said = f"{_server.get_reason(error)}."
        if error.statement:
            said += f"\nThe statement was: {' '.join(error.statement.split())}"
        raise CommandError(said) from error


def get_seconds(setting: str) -> float:
    """Return a limit, where 0 stands for none."""
    return float(current_app.config[setting]) or math.inf


@contextmanager
def connect() -> Iterator[Connection]:
    """Connect by an engine of its own, so that no other connection inherits the settings."""
    state = get_state()
    if _server.is_in_memory(state.url):
        engine = state.engine
    else:
        # A server that never answers is noticed here; a statement of a migration may take its time.
        _server.check_database(state.url)
        engine = create_engine(state.url, **_server.migration_options(state.url))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite.set_up)
            event.listen(engine, "begin", _sqlite.begin)
    with engine.connect() as connection:
        if is_pooled(connection):
            raise DatabaseUnavailable(
                f"The connection to {_server.describe_database(state.url)} uses a pooler in"
                " transaction mode, such as PgBouncer, which can't keep the migration lock. Set"
                " MIGRATION_DATABASE_URL to the address of the database server itself."
            )
        for statement in _get_limits(connection.dialect):
            connection.connection.cursor().execute(statement)
        # A SET that is rolled back on PostgreSQL is undone. Alembic takes a transaction that is
        # open already for ours, and would not commit it.
        connection.connection.commit()
        yield connection
        if engine is state.engine:
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def _get_limits(dialect: Dialect) -> list[str]:
    """Return what limits the time that the connection waits for locks and for a statement."""
    name = dialect.name
    statement = float(current_app.config["MIGRATION_STATEMENT_TIMEOUT"])  # 0 is none there, too
    if name == "postgresql":
        limit = f"SET statement_timeout = {int(statement * 1000)}"
        return [f"SET lock_timeout = {LOCK_ATTEMPT * 1000}", limit]
    if name in ("mysql", "mariadb"):
        limits = [f"lock_wait_timeout = {LOCK_ATTEMPT}, innodb_lock_wait_timeout = {LOCK_ATTEMPT}"]
        limits += [f"max_statement_time = {statement}"] * getattr(dialect, "is_mariadb", False)
        return [f"SET SESSION {limit}" for limit in limits]
    if name == "sqlite":
        return [
            f"PRAGMA busy_timeout={int(min(get_seconds('MIGRATION_WAIT') * 1000, MAX_WAIT))}",
            # SQLite can only change a table by copying it. Dropping the old one would delete its
            # children where they have ON DELETE CASCADE. The pragma has no effect in a transaction:
            # https://sqlite.org/lang_altertable.html#otheralter
            "PRAGMA foreign_keys=OFF",
        ]
    return []


def _run_on(connection: Connection, options: dict[str, Any]) -> None:
    savepoint = _sqlite.Savepoint(connection)
    on_sqlite = connection.dialect.name == "sqlite"
    if on_sqlite:
        # All revisions in one transaction, whose lock keeps other processes out until the end.
        options |= {"transactional_ddl": True, "transaction_per_migration": False}
        given = to_tuple(options.get("on_version_apply"), ())
        options["on_version_apply"] = (*given, savepoint.renew)
    context.configure(connection=connection, **options)
    context.get_context().on_version_apply_callbacks += (_record_new_database,)
    heads = context.get_context().get_current_heads()
    command = context.get_context().opts["fn"].__name__
    known = {it.revision for it in context.script.walk_revisions()}
    if command != "do_stamp" and (unknown := set(heads) - known):
        raise _differences.UnknownRevision(min(unknown))
    if command == "upgrade" and not heads:
        _refuse_existing_tables(connection)
    connection.rollback()  # what was read may be old when the revisions are applied

    with _differences.explained(command, heads):
        if on_sqlite:
            savepoint.run()
        elif command in ("upgrade", "downgrade"):
            _run_on_server(connection, command, heads)
        else:
            with context.begin_transaction():
                context.run_migrations()


def _record_new_database(step: MigrationInfo, **arguments: object) -> None:
    """Have `prepare` seed a database in the process that has applied its first revision."""
    if step.is_upgrade and not step.source_revision_ids:
        context.config.attributes["is_new_database"] = True


def _run_on_server(connection: Connection, command: str, heads: tuple[str, ...]) -> None:
    """Apply the revisions, each in its transaction, and retry where one waits for a lock."""
    progress = Progress(connection, command, heads)
    context.get_context().on_version_apply_callbacks += (progress.begin_revision,)
    deadline = time.monotonic() + get_seconds("MIGRATION_LOCK_TIMEOUT")
    while True:
        try:
            with context.begin_transaction():
                context.run_migrations()
            break
        except Exception as error:
            connection.rollback()
            if progress.was_done_before(error):
                continue
            if not _server.is_temporary(error) or time.monotonic() > deadline:
                progress.fail()
                raise
            progress.retry()
            log.info("A lock is not available. Trying again.")
            time.sleep(LOCK_PAUSE)
    progress.finish()
    if connection.dialect.name == "postgresql":
        query = "SELECT indexrelid::regclass, indrelid::regclass FROM pg_index WHERE NOT indisvalid"
        for index, table in connection.exec_driver_sql(query).all():
            log.warning(INVALID_INDEX, index, table, index)
        connection.rollback()


def _refuse_existing_tables(connection: Connection) -> None:
    """Stop before the first upgrade where tables of the same names are there already."""
    inspector, state = inspect(connection), get_state()
    if inspector.has_table(_mysql_resume.TABLE):
        return  # an interrupted upgrade has made them
    tables = [it for it in state.tables if _options.is_included(context.get_context(), it)]
    if existing := [it.key for it in tables if inspector.has_table(it.name, it.schema)]:
        raise CommandError(
            f"The database {_server.describe_database(state.url)} has no applied revision, but"
            f" already has tables of the models: {', '.join(existing)}. Nothing was changed. Set"
            " DATABASE_URL to another database. Or, if these tables match the models, run: flask"
            " db stamp head"
        )
