"""Decides what `flask db migrate` writes, and what it refuses to write."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from alembic import context
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Column, MetaData
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from . import (
    _checks,  # noqa: F401  # it adds itself to what Alembic compares
    _enums,
    _ordering,
    _postgresql_online,
    _renames,
    _revisions,
    _safety_checks,
    _types,
)
from ._state import get_state

log = logging.getLogger("alembic.env")


def include_name(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Return whether a table has a model or was made by a revision: others are not ours."""
    if kind != "table":
        return True
    state = get_state()
    table = parents.get("schema_qualified_table_name") or name
    return table in state.metadata.tables or table in _revisions.made_tables(state.directory)


def make_first_revision(url: URL, options: dict[str, Any]) -> None:
    """Write the first revision from the models alone.

    The database may hold tables of another project, and a comparison would drop them. It may even
    be unreachable: what the models say doesn't depend on it.
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
    """Turn what Alembic has found into revisions that are safe, or refuse.

    Raises:
        CommandError: They are dangerous.
    """
    script = directives[0]
    if not is_requested() and not is_first_revision():
        return
    metadata = get_state().metadata
    if not metadata.tables:
        raise CommandError(_safety_checks.NO_MODELS)
    if is_first_revision():
        script.upgrade_ops = ops.UpgradeOps(list(_create_operations(metadata)))
    upgrade = script.upgrade_ops
    if upgrade is None or upgrade.is_empty():
        directives.clear()
        log.info(
            "No changes: the models and the database agree. (A model counts once it is imported.)"
        )
        return
    dialect = migration_context.dialect
    requests = _renames.Requests.read(context.get_x_argument(as_dictionary=False))
    _renames.apply(upgrade, requests, migration_context)
    _safety_checks.check(upgrade, migration_context, requests)
    _ordering.order(upgrade, on_mysql=dialect.name in ("mysql", "mariadb"))
    if dialect.name == "postgresql":
        _enums.create_types(upgrade, migration_context.connection)
    if dialect.name == "postgresql" and not is_first_revision():
        directives[:] = _postgresql_online.split(script, upgrade)
    else:
        script.downgrade_ops = upgrade.reverse()
    for written in directives:
        for operations in (written.upgrade_ops, written.downgrade_ops):
            if operations is not None:
                _ordering.drop_redundant(operations)
                _make_generic(operations, dialect)
        if written.upgrade_ops:
            _safety_checks.allow(written.upgrade_ops, dialect, requests)


def _make_generic(operations: ops.OpContainer, dialect: Dialect) -> None:
    """Give the types that were read from the database the names that they have on each of them."""
    is_downgrade = isinstance(operations, ops.DowngradeOps)
    for op in _ordering.flatten(operations):
        columns: list[Any] = []
        if isinstance(op, ops.AlterColumnOp):
            if isinstance(op.existing_type, TypeEngine):
                op.existing_type = _types.make_generic(op.existing_type, dialect)
            if is_downgrade and isinstance(op.modify_type, TypeEngine):
                op.modify_type = _types.make_generic(op.modify_type, dialect)
        elif isinstance(op, ops.AddColumnOp):
            columns = [op.column]
        elif isinstance(op, ops.CreateTableOp):
            columns = [item for item in op.columns if isinstance(item, Column)]
        for column in columns if is_downgrade else []:
            column.type = _types.make_generic(column.type, dialect)


def is_requested() -> bool:
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def _create_operations(metadata: MetaData) -> Iterable[ops.MigrateOperation]:
    for table in sorted(metadata.tables.values(), key=lambda table: table.key):
        yield ops.CreateTableOp.from_table(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield ops.CreateIndexOp.from_index(index)
