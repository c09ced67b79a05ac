"""Decides what `flask db migrate` writes, and what it refuses to write."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, TypeVar

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import DATETIME, TIMESTAMP, URL, Column, DefaultClause, MetaData, TypeDecorator
from sqlalchemy.sql.elements import False_, TextClause, True_
from sqlalchemy.sql.functions import now

from . import _postgresql_online, _revisions, _safety_checks
from ._state import get_state

# Alembic would write them as the database at hand spells them.
PORTABLE_DEFAULTS: dict[type, str] = {
    now: "sa.func.now()",
    True_: "sa.true()",
    False_: "sa.false()",
}
NOW = {"now", "current_timestamp"}

Tables = TypeVar("Tables", ops.CreateTableOp, ops.DropTableOp)
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
        first = ops.UpgradeOps(list(_create_operations(metadata)))
        script.upgrade_ops, script.downgrade_ops = first, first.reverse()
    upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
    if upgrade is None or downgrade is None or upgrade.is_empty():
        directives.clear()
        log.info(
            "No changes: the models and the database agree. (A model counts once it is imported.)"
        )
        return
    dialect = migration_context.dialect.name
    arguments = context.get_x_argument(as_dictionary=False)
    drops = {text.removeprefix("drop=") for text in arguments if text.startswith("drop=")}
    _safety_checks.check(upgrade, dialect, drops)
    for operations in (upgrade, downgrade):
        _drop_indexes_with_their_table(operations)
        _order_tables(operations)
    _safety_checks.allow_drops(upgrade, dialect, drops)
    if dialect in ("mysql", "mariadb"):
        _make_generic(downgrade)
    if dialect == "postgresql" and not is_first_revision():
        directives[:] = _postgresql_online.split(script, upgrade, downgrade)


def _drop_indexes_with_their_table(operations: ops.OpContainer) -> None:
    """Leave out indexes of dropped tables: MySQL refuses to drop one that a foreign key uses."""
    dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}

    def is_redundant(op: ops.MigrateOperation) -> bool:
        return isinstance(op, ops.DropIndexOp) and op.table_name in dropped

    for op in operations.ops:
        if isinstance(op, ops.ModifyTableOps):
            op.ops = [inner for inner in op.ops if not is_redundant(inner)]
    operations.ops = [
        op
        for op in operations.ops
        if not is_redundant(op) and not (isinstance(op, ops.ModifyTableOps) and not op.ops)
    ]


def _make_generic(operations: ops.OpContainer) -> None:
    """Give the columns that a downgrade restores the generic types of SQLAlchemy.

    They were read from the server, which says INTEGER(11) for INTEGER, for example.
    """
    for op in operations.ops:
        if isinstance(op, ops.ModifyTableOps):
            _make_generic(op)
        elif isinstance(op, ops.AddColumnOp | ops.CreateTableOp):
            items = [op.column] if isinstance(op, ops.AddColumnOp) else op.columns
            for column in items:
                if isinstance(column, Column):
                    with suppress(NotImplementedError):
                        column.type = column.type.as_generic()


def _order_tables(operations: ops.OpContainer) -> None:
    """Create tables first, each after those that it refers to. Drop tables last, in reverse."""
    creates = [op for op in operations.ops if isinstance(op, ops.CreateTableOp)]
    drops = [op for op in operations.ops if isinstance(op, ops.DropTableOp)]
    others = [op for op in operations.ops if op not in creates and op not in drops]
    operations.ops = [*_parents_first(creates), *others, *reversed(_parents_first(drops))]


def _parents_first(operations: Sequence[Tables]) -> list[Tables]:
    by_name = {op.table_name: op for op in operations}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, op in by_name.items():
        sorter.add(name, *sorted(_parents(op) & set(by_name) - {name}))  # else in any order
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError:  # tables that refer to each other stay in Alembic's order
        return list(operations)


def _parents(op: ops.DropTableOp | ops.CreateTableOp) -> set[str]:
    table = op.to_table()
    return {
        element.target_fullname.rpartition(".")[0]
        for constraint in table.foreign_key_constraints
        for element in constraint.elements
    }


def is_requested() -> bool:
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def _create_operations(metadata: MetaData) -> Iterable[ops.MigrateOperation]:
    for table in metadata.sorted_tables:
        yield ops.CreateTableOp.from_table(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield ops.CreateIndexOp.from_index(index)


def render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write types and defaults that mean the same on every database."""
    if kind == "type":
        if isinstance(item, TypeDecorator) and _is_plain(item):
            item = item.impl_instance  # the schema needs no code of the application
            if type(item).__module__ == "sqlalchemy.sql.sqltypes":
                return f"sa.{item!r}"
        if isinstance(item, DATETIME | TIMESTAMP):
            return "sa.DateTime(timezone=True)"
        module = type(item).__module__
        if not module.startswith(("sqlalchemy.", "alembic.")):
            autogen_context.imports.add(f"import {module}")
    if kind == "server_default" and isinstance(item, DefaultClause):
        if isinstance(item.arg, TextClause) and item.arg.text.strip("()").lower() in NOW:
            return "sa.func.now()"  # how a database writes it, of a table that is dropped
        return PORTABLE_DEFAULTS.get(type(item.arg), False)
    return False


def _is_plain(item: TypeDecorator[Any]) -> bool:
    """Return whether the type of the column is that of `impl` on every database."""
    return type(item).load_dialect_impl is TypeDecorator.load_dialect_impl
