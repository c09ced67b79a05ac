"""The migration environment: what Alembic does, and how, for each `flask db` command.

`migrations/env.py` only calls `run`, so that this code is type-checked and tested like any other.
https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, DefaultClause, MetaData
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from . import db
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
    options: dict[str, Any] = dict(current_app.extensions["migrate"].configure_args)
    options.setdefault("process_revision_directives", _process_revision_directives)
    options.setdefault("render_item", _render_item)
    if _is_first_revision() and _is_autogenerate():
        _make_first_revision(options)
        return

    if context.is_offline_mode():
        context.configure(
            url=db.engine.url, target_metadata=db.metadata, literal_binds=True, **options
        )
        with context.begin_transaction():
            context.run_migrations()
        return

    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection = connection.execution_options(sqlite_begin="IMMEDIATE")
            options["transactional_ddl"] = True  # a revision that fails leaves nothing behind
            _without_foreign_keys(connection)
        context.configure(connection=connection, target_metadata=db.metadata, **options)
        with context.begin_transaction():
            context.run_migrations()
            if connection.dialect.name == "sqlite":
                _check_foreign_keys(connection)
        connection.invalidate()  # the next user gets a connection with foreign keys


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
    context.configure(
        url=db.engine.url, target_metadata=db.metadata, autogenerate_plugins=[], **options
    )
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
        script.downgrade_ops = upgrade.reverse()
    elif _is_autogenerate() and script.upgrade_ops and script.upgrade_ops.is_empty():
        directives.clear()
        log.info("No changes: the models and the database agree.")


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
