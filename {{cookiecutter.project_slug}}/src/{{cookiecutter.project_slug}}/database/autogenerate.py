"""What `flask db migrate` writes, and what it refuses to write."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, DefaultClause, MetaData
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from . import db, revisions
from .types import UtcDateTime

# Alembic would write them as the database at hand spells them.
PORTABLE_DEFAULTS: dict[type, str] = {
    now: "sa.func.now()",
    True_: "sa.true()",
    False_: "sa.false()",
}

log = logging.getLogger("alembic.env")


def include_name(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Look only at tables that have a model or were made by a revision: others are not ours."""
    if kind != "table":
        return True
    table = parents.get("schema_qualified_table_name") or name
    return table in db.metadata.tables or table in revisions.tables_made()


def make_first_revision(url: URL, options: dict[str, Any]) -> None:
    """Write down the models, without a look at the database.

    Tables of someone else may be in it, and a comparison would drop them. It may even be out of
    reach, for what the models say doesn't depend on it.
    """
    context.configure(url=url, autogenerate_plugins=[], **options)
    migration_context = context.get_context()
    list(migration_context.opts["fn"]((), migration_context))


def is_first_revision() -> bool:
    return not context.script.get_heads()


def process_revision_directives(
    migration_context: MigrationContext,
    revision: str | Iterable[str | None] | Iterable[str],
    directives: list[ops.MigrationScript],
) -> None:
    """Fill the first revision from the models, and write no file where nothing has changed."""
    script = directives[0]
    if is_first_revision():
        script.upgrade_ops = upgrade = ops.UpgradeOps(list(_create_operations(db.metadata)))
        script.downgrade_ops = downgrade = upgrade.reverse()
        _drop_indexes_with_their_table(downgrade)
    elif is_asked_for() and script.upgrade_ops and script.upgrade_ops.is_empty():
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


def is_asked_for() -> bool:
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def _create_operations(metadata: MetaData) -> Iterable[ops.MigrateOperation]:
    for table in metadata.sorted_tables:
        yield ops.CreateTableOp.from_table(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield ops.CreateIndexOp.from_index(index)


def render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write what means the same on every database, and doesn't change with our own code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(item, DefaultClause):
        return PORTABLE_DEFAULTS.get(type(item.arg), False)
    return False
