"""Writes what `-x drop=…`, `-x rename=…` and `-x narrow=…` of `flask db migrate` ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, Table, UniqueConstraint

from ._operations import RenameColumnOp, RenameTableOp


@dataclass
class Requests:
    """What may be done, because the command names it. Columns are `table.column`."""

    drop: set[str] = field(default_factory=set)
    narrow: set[str] = field(default_factory=set)
    rename: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, arguments: Iterable[str]) -> Requests:
        """Read the arguments of `-x`."""
        requests = cls()
        for argument in arguments:
            kind, _, name = argument.partition("=")
            if kind in ("drop", "narrow"):
                getattr(requests, kind).add(name)
            elif kind == "rename":
                old, _, new = name.partition(":")
                requests.rename[old] = new.rpartition(".")[2]
        return requests

    def is_requested(self, kind: str, table: str, column: str = "") -> bool:
        """Return whether this table, or a column of it, is named."""
        return bool({table, f"{table}.{column}"} & set(getattr(self, kind)))


def qualified_name(schema: str | None, name: str) -> str:
    """Return how a table is named in an option, in messages and in metadata."""
    return f"{schema}.{name}" if schema else name


def apply(upgrade: ops.UpgradeOps, requests: Requests, context: MigrationContext) -> None:
    """Put a rename in the place of a drop and an addition.

    Raises:
        CommandError: No such pair was found.
    """
    for old, new in requests.rename.items():
        if not (_rename_table(upgrade, old, new) or _rename_column(upgrade, old, new, context)):
            raise CommandError(
                f"No revision was written.\n\n-x rename={old}:{new} matches nothing. The database"
                f" has to have {old} and no {new}, and the models {new} and no {old}.\n  For a"
                " column, write -x rename=table.column:new. For a table, write -x rename=table:new."
            )


def _rename_column(upgrade: ops.UpgradeOps, old: str, new: str, context: MigrationContext) -> bool:
    for table in upgrade.ops:
        if not isinstance(table, ops.ModifyTableOps):
            continue
        name = qualified_name(table.schema, table.table_name)
        for drop in table.ops:
            if not isinstance(drop, ops.DropColumnOp) or f"{name}.{drop.column_name}" != old:
                continue
            for add in table.ops:
                if isinstance(add, ops.AddColumnOp) and add.column.name == new:
                    table.ops[table.ops.index(add)] = _to_rename(drop, add, context)
                    table.ops.remove(drop)
                    return True
    return False


def _to_rename(
    drop: ops.DropColumnOp, add: ops.AddColumnOp, context: MigrationContext
) -> RenameColumnOp:
    """Return the rename, with the other changes of the column."""
    before, after = drop.to_column(), add.column
    op = RenameColumnOp(
        add.table_name,
        before.name,
        schema=add.schema,
        modify_name=after.name,
        existing_type=before.type,
        existing_nullable=before.nullable,
        existing_server_default=before.server_default or False,
    )
    if context.impl.compare_type(before, after):
        op.modify_type = after.type
    if before.nullable != after.nullable:
        op.modify_nullable = after.nullable
    return op


def _rename_table(upgrade: ops.UpgradeOps, old: str, new: str) -> bool:
    drop: Any = _find(upgrade, ops.DropTableOp, old)
    create: Any = _find(
        upgrade, ops.CreateTableOp, qualified_name(getattr(drop, "schema", None), new)
    )
    if not (drop and create):
        return False
    upgrade.ops[upgrade.ops.index(drop)] = RenameTableOp(drop.table_name, new, schema=drop.schema)
    before, after = drop.to_table(), create.to_table()
    # The names of constraints contain that of the table.
    changes: list[ops.MigrateOperation] = []
    for kind in (UniqueConstraint, CheckConstraint):
        was, is_now = _by_name(before, kind), _by_name(after, kind)
        for name in sorted(was.keys() - is_now.keys()):
            changes.append(ops.DropConstraintOp.from_constraint(was[name]))
        for name in sorted(is_now.keys() - was.keys()):
            changes.append(ops.AddConstraintOp.from_constraint(is_now[name]))
    upgrade.ops[upgrade.ops.index(create)] = ops.ModifyTableOps(new, changes, schema=drop.schema)
    return True


def _find(upgrade: ops.UpgradeOps, kind: type, name: str) -> ops.MigrateOperation | None:
    for op in upgrade.ops:
        if isinstance(op, kind) and qualified_name(op.schema, op.table_name) == name:
            return op
    return None


def _by_name(table: Table, kind: type) -> dict[str, Any]:
    return {str(it.name): it for it in table.constraints if isinstance(it, kind) and it.name}
