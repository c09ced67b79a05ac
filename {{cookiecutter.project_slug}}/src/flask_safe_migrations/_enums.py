"""PostgreSQL: enum types, which belong to no table, and the members that are added to them.

https://www.postgresql.org/docs/current/sql-altertype.html
"""

import sys
from collections.abc import Iterable
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import PriorityDispatchResult
from sqlalchemy import ARRAY, Connection, Enum, TypeDecorator, inspect
from sqlalchemy.dialects.postgresql import dialect

from ._options import is_first_revision
from ._ordering import flatten
from ._rendering import SqlOp

DIALECT: Any = dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # leaves a % as it is
PLUGIN = "alembic_postgresql_enum"  # where it is imported, it does all of this
Name = tuple[str | None, str]  # the schema and the name


class AddEnumMembersOp(ops.MigrateOperation):
    """Members that an enum type lacks, and those that only the database has."""

    def __init__(self, name: str, statements: list[str], removed: list[str]) -> None:
        self.name, self.removed = name, removed
        self.operations = [ops.ExecuteSQLOp(statement) for statement in statements]

    def reverse(self) -> ops.MigrateOperation:
        return SqlOp("")  # PostgreSQL can't remove a member

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `flask db check` prints."""
        return ("modify_enum", self.name, [op.sqltext for op in self.operations], self.removed)


@comparators.dispatch_for("schema", qualifier="postgresql")
def compare_members(
    context: AutogenContext, upgrade: ops.UpgradeOps, schemas: Iterable[str | None]
) -> PriorityDispatchResult:
    if context.connection is None:
        return PriorityDispatchResult.CONTINUE
    found = _read_enums(context.connection)
    columns = [column for table in context.sorted_tables for column in table.columns]
    for (schema, name), enum in find_enums(column.type for column in columns).items():
        labels = found.get((schema, name))
        if labels is None:
            continue
        quoted = quote(schema, name)
        statements = [
            f"ALTER TYPE {quoted} ADD VALUE IF NOT EXISTS {_literal(label)} "
            + (f"AFTER {_literal(enum.enums[n - 1])}" if n else f"BEFORE {_literal(labels[0])}")
            for n, label in enumerate(enum.enums)
            if label not in labels
        ]
        removed = [label for label in labels if label not in enum.enums]
        if statements or removed:
            upgrade.ops.append(AddEnumMembersOp(quoted, statements, removed))
    return PriorityDispatchResult.CONTINUE


def create_types(upgrade: ops.UpgradeOps, migration: MigrationContext) -> None:
    """Create and drop the types of new columns. Alembic creates those of new tables, and drops none."""
    connection = None if is_first_revision() else migration.connection
    found = _read_enums(connection) if connection else {}
    with_tables, others = [], []
    for op in flatten(upgrade):
        if isinstance(op, ops.CreateTableOp):
            with_tables += [column.type for column in op.to_table().columns]
        elif isinstance(op, ops.AddColumnOp):
            others.append(op.column.type)
        elif isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
            others.append(op.modify_type)
    of_columns = find_enums(others)
    migration.opts["made_enums"] = {*found, *of_columns} & find_enums(with_tables).keys()
    for key, enum in (find_enums(with_tables) | of_columns).items():
        if key not in found:
            members = ", ".join(map(_literal, enum.enums))
            create = f"CREATE TYPE {quote(*key)} AS ENUM ({members})" if key in of_columns else ""
            upgrade.ops.insert(0, SqlOp(create, f"DROP TYPE {quote(*key)}"))


def find_enums(types: Iterable[Any]) -> dict[Name, Enum]:
    """Return the native enums among these types, except those that the application creates."""
    enums: dict[Name, Enum] = {}
    for item in () if PLUGIN in sys.modules else types:
        while isinstance(item, TypeDecorator | ARRAY):
            item = item.item_type if isinstance(item, ARRAY) else item.load_dialect_impl(DIALECT)
        if isinstance(item, Enum) and item.native_enum and getattr(item, "create_type", True):
            enums[item.schema, str(item.name)] = item
    return enums


def _read_enums(connection: Connection) -> dict[Name, list[str]]:
    """Return the members of each type; those in the search path have no schema, too."""
    inspector: Any = inspect(connection)
    enums = {}
    for enum in inspector.get_enums(schema="*"):
        enums[enum["schema"], enum["name"]] = enum["labels"]
        if enum["visible"]:
            enums[None, enum["name"]] = enum["labels"]
    return enums


def quote(schema: str | None, name: str) -> str:
    return ".".join(DIALECT.identifier_preparer.quote(part) for part in (schema, name) if part)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
