"""The migration environment: what Alembic does, and how, for each `flask db` command.

`migrations/env.py` only calls `run`, so that this code is type-checked and tested like any other.
https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment
"""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

from alembic import context
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import URL, Connection, Engine, Transaction, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .. import db, engine, server
from . import autogenerate, resume
from .lock import Occupied, migration_lock
from .resume import Progress

# Seconds that one try to lock a table lasts, and that pass until the next.
LOCK_ATTEMPT = 1
LOCK_PAUSE = 1
LONGEST_WAIT = 2**31 - 1  # milliseconds, for SQLite
LOCK_NOT_AVAILABLE = {"55P03", "1205"}  # of PostgreSQL, of MySQL

log = logging.getLogger("alembic.env")


def run() -> None:
    """Run the Alembic command that is under way, on the application's database."""
    # The garbage collector would look through all that is imported, again for each few revisions.
    gc.freeze()
    try:
        _run()
    finally:
        gc.unfreeze()


def _run() -> None:
    options: dict[str, Any] = {
        "target_metadata": db.metadata,
        "process_revision_directives": autogenerate.process_revision_directives,
        "render_item": autogenerate.render_item,
        "include_name": autogenerate.include_name,
        "transaction_per_migration": True,
        **current_app.extensions["migrate"].configure_args,
    }
    if autogenerate.is_first_revision() and autogenerate.is_asked_for():
        autogenerate.make_first_revision(database_url(), options)
    elif context.is_offline_mode():
        context.configure(url=database_url(), literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
    elif given := context.config.attributes.get("connection"):  # by a test
        with given.connect() if isinstance(given, Engine) else nullcontext(given) as connection:
            _run_on(connection, options)
    else:
        try:
            with _connect() as connection, migration_lock(connection, _seconds("MIGRATION_WAIT")):
                _run_on(connection, options)
        except (server.Unavailable, Occupied) as problem:
            raise CommandError(str(problem)) from problem
        except DBAPIError as error:
            message = f"{server.reason(error)}."
            if error.statement:
                message += f"\nThe statement was: {' '.join(error.statement.split())}"
            raise CommandError(message) from error


def database_url() -> URL:
    """The address of the database that is migrated."""
    url: URL | None = current_app.config["MIGRATION_DATABASE_URL"]
    return url or db.engine.url


def _seconds(setting: str) -> float:
    """The limit, where 0 stands for none."""
    return float(current_app.config[setting]) or math.inf


@contextmanager
def _connect() -> Iterator[Connection]:
    """A connection of its own, whose settings no one inherits.

    Raises:
        server.Unavailable: there is none to be had.
    """
    url = database_url()
    if server.is_in_memory(url):
        own = db.engine
    else:
        # A server that never answers has to be noticed, but a statement may take its time.
        limits = server.time_limits(url, read=server.CONNECT_TIMEOUT)
        if url.get_driver_name() == "mysqldb":  # its limit would stay for all statements
            server.check(url)
            limits = server.time_limits(url, read=0)
        own = create_engine(url, poolclass=NullPool, connect_args=limits)
        engine.configure(own)
    try:
        connection = own.connect()
    except DBAPIError:
        server.check(url)  # says why
        raise
    with connection:
        if url.get_driver_name() == "pymysql":
            cast(Any, connection.connection.driver_connection)._read_timeout = None
        for statement in _limits(connection.dialect.name):
            connection.connection.cursor().execute(statement)
        # A SET that is rolled back on PostgreSQL is undone. Alembic takes a transaction that is
        # open already for ours, and would not commit it.
        connection.connection.commit()
        yield connection
        if server.is_in_memory(url):
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def _limits(dialect: str) -> list[str]:
    """What limits the time that this connection waits for locks, and works on a statement."""
    statement = float(current_app.config["MIGRATION_STATEMENT_TIMEOUT"])  # 0 is none there, too
    if dialect == "postgresql":
        return [
            f"SET lock_timeout = {LOCK_ATTEMPT * 1000}",
            f"SET statement_timeout = {int(statement * 1000)}",
        ]
    if dialect in ("mysql", "mariadb"):
        return [
            f"SET SESSION lock_wait_timeout = {LOCK_ATTEMPT}",
            f"SET SESSION innodb_lock_wait_timeout = {LOCK_ATTEMPT}",
        ] + ([f"SET SESSION max_statement_time = {statement}"] if dialect == "mariadb" else [])
    if dialect == "sqlite":
        return [
            f"PRAGMA busy_timeout={int(min(_seconds('MIGRATION_WAIT') * 1000, LONGEST_WAIT))}",
            # SQLite can only change a table by making it anew. Dropping the old one would delete
            # its children where they have ON DELETE CASCADE. The pragma has no effect in a
            # transaction: https://sqlite.org/lang_altertable.html#otheralter
            "PRAGMA foreign_keys=OFF",
        ]
    return []


def _run_on(connection: Connection, options: dict[str, Any]) -> None:
    on_sqlite = connection.dialect.name == "sqlite"
    savepoint = Savepoint(connection)
    if on_sqlite:
        # All revisions in one transaction, whose lock keeps other processes out until the end.
        options |= {"transactional_ddl": True, "transaction_per_migration": False}
        options["on_version_apply"] = savepoint.renew
    context.configure(connection=connection, **options)
    heads = context.get_context().get_current_heads()
    command = context.get_context().opts["fn"].__name__
    if command != "do_stamp":
        _refuse_unknown(heads)
    if command == "upgrade" and not heads:
        _refuse_clash(set(inspect(connection).get_table_names()))
    connection.rollback()  # what was read may be old when the revisions are applied

    if on_sqlite:
        _run_on_sqlite(savepoint)
    elif command in ("upgrade", "downgrade"):
        _run_on_server(connection, command, heads)
    else:
        with context.begin_transaction():
            context.run_migrations()


def _run_on_sqlite(savepoint: Savepoint) -> None:
    """Apply the revisions; one that fails leaves nothing behind, and those before it are kept."""
    failure: Exception | None = None
    with context.begin_transaction():
        savepoint.begin()
        try:
            context.run_migrations()
        except Exception as error:
            savepoint.undo()
            failure = error
    if failure:
        raise failure


def _run_on_server(connection: Connection, command: str, heads: tuple[str, ...]) -> None:
    """Apply the revisions, each in its transaction, and try again where one waits for a lock.

    Whoever waits for a table holds up all that come after. So each try is short.
    """
    progress: Progress | None = None
    if connection.dialect.name in ("mysql", "mariadb"):
        progress = Progress(connection, command, heads)
        context.get_context().on_version_apply_callbacks += (progress.begin_revision,)
    deadline = time.monotonic() + _seconds("MIGRATION_LOCK_TIMEOUT")
    while True:
        try:
            with context.begin_transaction():
                context.run_migrations()
            break
        except Exception as error:
            connection.rollback()
            if progress and progress.again(error):
                continue
            if not _waits_for_lock(error) or time.monotonic() > deadline:
                if progress:
                    progress.fail()
                raise
            if progress:
                progress.retry()
            log.info("Waiting for a lock, and trying again.")
            time.sleep(LOCK_PAUSE)
    if progress:
        progress.finish()
    if connection.dialect.name == "postgresql":
        _name_invalid_indexes(connection)


def _waits_for_lock(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and bool(server.codes(error) & LOCK_NOT_AVAILABLE)


def _name_invalid_indexes(connection: Connection) -> None:
    """A CREATE INDEX CONCURRENTLY that is interrupted leaves an index that is never used.

    https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """
    found = connection.exec_driver_sql(
        "SELECT indexrelid::regclass, indrelid::regclass FROM pg_index WHERE NOT indisvalid"
    ).all()
    connection.rollback()
    for index, table in found:
        log.warning(
            "Index %s of table %s is invalid, left by an interrupted CREATE INDEX CONCURRENTLY. It"
            " slows writing and serves no query. Type in psql: DROP INDEX CONCURRENTLY %s;"
            " and make it again.",
            index,
            table,
            index,
        )


class Savepoint:
    """The revision that is being applied on SQLite, in the transaction of all of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transaction: Transaction | None = None

    def begin(self) -> None:
        """Begin the first revision."""
        self._connection.exec_driver_sql("SAVEPOINT revision")
        self._transaction = self._connection.get_transaction()

    def renew(self, **arguments: object) -> None:
        """End a revision that has been applied, and begin the next."""
        broken = self._connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken:
            raise CommandError(
                f"The revision leaves a row in table {broken[0]} that refers to a missing row in"
                f" {broken[2]}. Nothing of it was changed. Let it delete or mend such rows first."
            )
        if self._is_open():
            self._connection.exec_driver_sql("RELEASE revision")
        self.begin()

    def undo(self) -> None:
        """Undo a revision that has failed."""
        if self._is_open():
            self._connection.exec_driver_sql("ROLLBACK TO revision")
        else:
            self._connection.exec_driver_sql("ROLLBACK")
            self._connection.exec_driver_sql("BEGIN")  # which Alembic ends

    def _is_open(self) -> bool:
        """Whether no autocommit_block has ended the transaction, and with it the savepoint."""
        return self._connection.get_transaction() is self._transaction


def _refuse_unknown(heads: Iterable[str]) -> None:
    """Stop where the database has been migrated by revisions that this project doesn't have."""
    for head in heads:
        try:
            context.script.get_revision(head)
        except CommandError:
            raise CommandError(
                f"The database {server.place(database_url())} is at revision {head}, which is not in"
                " migrations/versions: it belongs to another project, or to a newer release of this"
                " one. Name another database as DATABASE_URL in .env, or get the missing revision."
            ) from None


def _refuse_clash(tables: set[str]) -> None:
    """Stop before the first upgrade where its tables would meet others of the same name."""
    clashing = sorted(tables & set(db.metadata.tables)) if resume.TABLE not in tables else []
    if clashing:
        raise CommandError(
            f"The database {server.place(database_url())} already has tables that are not this"
            f" project's, under the same names: {', '.join(clashing)}. Nothing was changed. Name"
            " another database as DATABASE_URL in .env; or, if the models were written for these"
            " very tables, type: uv run flask db stamp head"
        )
