"""Reads what `-x drop=…`, `-x narrow=…` and `-x rename=…` ask for, and writes the renames."""

from collections.abc import Iterable
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, UniqueConstraint

from ._ordering import flatten, name_of, table_of
from ._rendering import RenameColumnOp, RenameTableOp

NAMED = UniqueConstraint | CheckConstraint


class Requests:
    """What may be done, because the command names it. A column is `table.column`."""

    def __init__(self, arguments: Iterable[str]) -> None:
        self.names: dict[str, list[str]] = {"drop": [], "narrow": [], "rename": [], "rewrite": []}
        for argument in sorted(arguments):
            kind, _, name = argument.partition("=")
            self.names.setdefault(kind, []).append(name)

    def find(self, kind: str, op: Any) -> str:  # noqa: ANN401
        """Return the options that ask for this on the table, or a column of it."""
        asked = {name_of(op), ".".join(filter(None, table_of(op)))}
        return " ".join(f"-x {kind}={name}" for name in self.names[kind] if name in asked)


def apply(upgrade: ops.UpgradeOps, requests: Requests, context: MigrationContext) -> None:
    """Put a rename in the place of a drop and an addition."""
    for name in requests.names["rename"]:
        old, _, new = name.partition(":")
        new = new.rpartition(".")[2]
        target = f"{old.rpartition('.')[0]}.{new}".removeprefix(".")
        drop = _find(upgrade, ops.DropTableOp | ops.DropColumnOp, old)
        is_column = isinstance(drop, ops.DropColumnOp)
        add = _find(upgrade, ops.AddColumnOp if is_column else ops.CreateTableOp, target)
        if not (drop and add):
            raise CommandError(
                f"No revision was written.\n\n-x rename={name} matches no change: the old name must"
                " be in the database only, the new name in the models only.\n  For a column, write"
                " -x rename=table.column:new. For a table, write -x rename=table:new."
            )
        others = [op for op in (*flatten(upgrade), *upgrade.ops) if hasattr(op, "table_name")]
        for op in others if not is_column else []:
            if table_of(op) == table_of(drop) and op is not drop:
                op.table_name = new  # it has that name already when the index is dropped
        rename = _rename_column(drop, add, context) if is_column else _rename_table(drop, add)
        for container in (upgrade, *upgrade.ops):
            if isinstance(container, ops.OpContainer):
                found = [rename if op is add else [op] for op in container.ops if op is not drop]
                container.ops = [op for part in found for op in part]


def _find(upgrade: ops.UpgradeOps, kind: Any, name: str) -> Any:  # noqa: ANN401
    found = (it for it in flatten(upgrade) if isinstance(it, kind) and name_of(it) == name)
    return next(found, None)


def _rename_column(drop: Any, add: Any, context: MigrationContext) -> list[ops.MigrateOperation]:  # noqa: ANN401
    before, after = drop.to_column(), add.column
    rename = RenameColumnOp(add.table_name, before.name, schema=add.schema, modify_name=after.name)
    rename.existing_type, rename.existing_nullable = before.type, before.nullable
    rename.existing_server_default = before.server_default or False
    rename.modify_type = after.type if context.impl.compare_type(before, after) else None
    rename.modify_nullable = after.nullable if before.nullable != after.nullable else None
    return [rename]


def _rename_table(drop: ops.DropTableOp, add: ops.CreateTableOp) -> list[ops.MigrateOperation]:
    """Rename the table, and replace the constraints whose names have that of the table."""
    was, now = (
        {str(it.name): it for it in op.to_table().constraints if isinstance(it, NAMED)}
        for op in (drop, add)
    )
    drops = [ops.DropConstraintOp.from_constraint(it) for key, it in was.items() if key not in now]
    for op in drops:
        op.table_name = add.table_name
    adds = [ops.AddConstraintOp.from_constraint(it) for key, it in now.items() if key not in was]
    rename = RenameTableOp(drop.table_name, add.table_name, schema=drop.schema)
    return [rename, ops.ModifyTableOps(add.table_name, [*drops, *adds], schema=add.schema)]
