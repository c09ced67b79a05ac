"""The migration environment: what Alembic does, and how, for each `flask db` command.

`migrations/env.py` only calls `run`, so that this code is type-checked and tested like any other.
https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import URL, Connection, DefaultClause, MetaData, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from . import db, engine, revisions, server
from .types import UtcDateTime

# Alembic would write them as the database at hand spells them.
PORTABLE_DEFAULTS: dict[type, str] = {
    now: "sa.func.now()",
    True_: "sa.true()",
    False_: "sa.false()",
}

log = logging.getLogger("alembic.env")


def run() -> None:
    """Run the Alembic command that is under way, on the application's database."""
    _log_to_stderr()
    options: dict[str, Any] = {
        "target_metadata": db.metadata,
        "process_revision_directives": _process_revision_directives,
        "render_item": _render_item,
        "include_name": _include_name,
        **current_app.extensions["migrate"].configure_args,
    }
    if _is_first_revision() and _is_autogenerate():
        _make_first_revision(options)
    elif context.is_offline_mode():
        context.configure(url=database_url(), literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
    else:
        try:
            with _connect(options) as connection:
                _run_on(connection, options)
        except server.Unavailable as problem:
            raise CommandError(str(problem)) from problem
        except DBAPIError as error:
            statement = " ".join((error.statement or "").split())
            message = f"{server.reason(error)}.\nThe statement was: {statement}"
            raise CommandError(message) from error


def database_url() -> URL:
    """The address of the database that is migrated."""
    return db.engine.url


def _run_on(connection: Connection, options: dict[str, Any]) -> None:
    heads = MigrationContext.configure(connection).get_current_heads()
    tables = set(inspect(connection).get_table_names())
    # What has been asked so far is a transaction, which Alembic would take for ours and not commit.
    connection.rollback()

    context.configure(connection=connection, **options)
    command = context.get_context().opts["fn"].__name__
    if command != "do_stamp":
        _refuse_unknown(heads)
    if command == "upgrade" and not heads:
        _refuse_clash(tables)
    with context.begin_transaction():
        context.run_migrations()
        if connection.dialect.name == "sqlite":
            _check_foreign_keys(connection)


@contextmanager
def _connect(options: dict[str, Any]) -> Iterator[Connection]:
    """A connection whose settings no one inherits.

    Raises:
        server.Unavailable: there is none to be had.
    """
    url = database_url()
    if url.get_backend_name() != "sqlite":
        server.check(url)
        limits = server.time_limits(url, read=None)
        own = create_engine(url, poolclass=NullPool, connect_args=limits)
        engine.configure(own)
        with own.connect() as connection:
            yield connection
        return

    if not server.is_in_memory(url):
        server.check(url)
    with db.engine.connect() as connection:
        options["transactional_ddl"] = True  # a revision that fails leaves nothing behind
        _without_foreign_keys(connection)
        try:
            yield connection
        finally:
            connection.invalidate()


def _refuse_unknown(heads: Iterable[str]) -> None:
    """Stop where the database has been migrated by revisions that this project doesn't have."""
    known = set(revisions.parents())
    for head in heads:
        if head not in known:
            raise CommandError(
                f"The database {server.place(database_url())} is at revision {head}, which is not in"
                " migrations/versions: it belongs to another project, or to a newer release of this"
                " one. Name another database as DATABASE_URL in .env, or get the missing revision."
            )


def _refuse_clash(tables: set[str]) -> None:
    """Stop before the first upgrade where its tables would meet others of the same name."""
    clashing = sorted(tables & set(db.metadata.tables))
    if clashing:
        raise CommandError(
            f"The database {server.place(database_url())} already has tables that are not this"
            f" project's, under the same names: {', '.join(clashing)}. Nothing was changed. Name"
            " another database as DATABASE_URL in .env; or, if the models were written for these"
            " very tables, type: uv run flask db stamp head"
        )


def _include_name(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Look only at tables that have a model or were made by a revision: others are not ours."""
    if kind != "table":
        return True
    table = parents.get("schema_qualified_table_name") or name
    return table in db.metadata.tables or table in revisions.tables_made()


def _without_foreign_keys(connection: Connection) -> None:
    """Keep the children of a table that SQLite can only change by making it anew.

    Dropping the old table would delete them where they have ON DELETE CASCADE. The pragma has no
    effect in a transaction: https://sqlite.org/lang_altertable.html#otheralter.
    """
    connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken:
        raise CommandError(
            f"The revision leaves a row in table {broken[0]} that refers to a missing row in"
            f" {broken[2]}. Nothing was changed. Let the revision delete or mend such rows."
        )


def _make_first_revision(options: dict[str, Any]) -> None:
    """Write down the models, without a look at the database.

    Tables of someone else may be in it, and a comparison would drop them. It may even be out of
    reach, for what the models say doesn't depend on it.
    """
    context.configure(url=database_url(), autogenerate_plugins=[], **options)
    migration_context = context.get_context()
    list(migration_context.opts["fn"]((), migration_context))


def _is_first_revision() -> bool:
    return not context.script.get_heads()


def _process_revision_directives(
    migration_context: MigrationContext,
    revision: str | Iterable[str | None] | Iterable[str],
    directives: list[ops.MigrationScript],
) -> None:
    """Fill the first revision from the models, and write no file where nothing has changed."""
    script = directives[0]
    if _is_first_revision():
        script.upgrade_ops = upgrade = ops.UpgradeOps(list(_create_operations(db.metadata)))
        script.downgrade_ops = downgrade = upgrade.reverse()
        _drop_indexes_with_their_table(downgrade)
    elif _is_autogenerate() and script.upgrade_ops and script.upgrade_ops.is_empty():
        directives.clear()
        log.info(
            "No changes: the models and the database agree. (A model counts once it is imported.)"
        )
    elif script.upgrade_ops and script.downgrade_ops:
        _drop_indexes_with_their_table(script.upgrade_ops)
        _drop_indexes_with_their_table(script.downgrade_ops)


def _drop_indexes_with_their_table(operations: ops.OpContainer) -> None:
    """Leave out what dropping the table does anyway; MySQL would refuse where a foreign key uses it."""
    dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}
    operations.ops = [
        op
        for op in operations.ops
        if not (isinstance(op, ops.DropIndexOp) and op.table_name in dropped)
    ]


def _is_autogenerate() -> bool:
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def _create_operations(metadata: MetaData) -> Iterable[ops.MigrateOperation]:
    for table in metadata.sorted_tables:
        yield ops.CreateTableOp.from_table(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield ops.CreateIndexOp.from_index(index)


def _render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write what means the same on every database, and doesn't change with our own code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(item, DefaultClause):
        return PORTABLE_DEFAULTS.get(type(item.arg), False)
    return False


def _log_to_stderr() -> None:
    """Show what Alembic does, unless the application has already set up its logging."""
    logger = logging.getLogger("alembic")
    if not (logger.level or logging.root.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
