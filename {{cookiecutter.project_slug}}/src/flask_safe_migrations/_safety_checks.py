"""Refuses changes that are dangerous for a database in use, before `flask db migrate` writes them.

Each message names the danger, says why it is one on this database, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import (
    Column,
    Date,
    DateTime,
    Enum,
    Index,
    PrimaryKeyConstraint,
    TypeDecorator,
    UniqueConstraint,
    types,
)
from sqlalchemy.engine import Dialect

from . import _types
from ._enums import AddEnumMembersOp
from ._operations import AllowOp
from ._ordering import flatten, table_of
from ._renames import Requests, qualified_name

NO_MODELS = (
    "The application has no models: the revision would drop every table. A model is known once its"
    " module is imported, for example in __init__.py."
)

# What happens to a NOT NULL column without a server default, where the table has rows.
NOT_NULL_REASONS = {
    "sqlite": "SQLite refuses such a column, even where the table is empty.",
    "postgresql": "PostgreSQL refuses it as soon as the table has one row.",
    "mysql": "MySQL fills existing rows with 0 or '' without a warning.",
    "mariadb": "MariaDB fills existing rows with 0 or '' without a warning.",
}
# The value that existing rows may get, by the type of the column.
DEFAULTS: list[tuple[tuple[type, ...], str]] = [
    ((types.Boolean,), "sa.false()"),
    ((types.Integer, types.Numeric), '"0"'),
    ((DateTime,), "sa.func.now()"),
    ((Date,), 'sa.text("(CURRENT_DATE)")'),
    ((types.JSON,), "sa.text(\"('{}')\")"),
    ((types.Text,), "sa.text(\"('')\")"),
    ((types.String,), '""'),
]


def check(upgrade: ops.UpgradeOps, context: MigrationContext, requests: Requests) -> None:
    """Check what the next revision would do.

    Raises:
        CommandError: It is dangerous.
    """
    created = {table_of(op) for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    found = []
    for op in flatten(upgrade):
        if not hasattr(op, "table_name") or table_of(op) not in created:
            found += [*_find_dangers(op, context.dialect, requests)]
    if found:
        raise CommandError("\n\n".join(["No revision was written.", *found]))


def allow(upgrade: ops.UpgradeOps, dialect: Dialect, requests: Requests) -> None:
    """Write in the revision why `flask db lint` may accept what was requested, or is harmless."""
    found = dict.fromkeys(
        pair for op in flatten(upgrade) for pair in _find_allowed(op, dialect, requests)
    )
    reasons: dict[str, list[str]] = {}
    for rule, reason in found:
        reasons.setdefault(rule, []).append(reason)
    upgrade.ops[:0] = [AllowOp(rule, "; ".join(texts)) for rule, texts in reasons.items()]


def _find_allowed(
    op: ops.MigrateOperation, dialect: Dialect, requests: Requests
) -> Iterator[tuple[str, str]]:
    """Yield the rules that the operation breaks, and why it may."""
    on_postgresql = dialect.name == "postgresql"
    prefix = "ban-drop" if on_postgresql else "drop"
    if isinstance(op, ops.DropTableOp):
        yield f"{prefix}-table", _describe_request("drop", op, requests)
    elif isinstance(op, ops.DropColumnOp):
        yield f"{prefix}-column", _describe_request("drop", op, requests)
    elif isinstance(op, ops.RenameTableOp):
        rule = "renaming-table" if on_postgresql else "rename"
        yield rule, f"requested by -x rename={op.table_name}:{op.new_table_name}"
    elif isinstance(op, ops.DropConstraintOp) and on_postgresql:
        yield "ban-drop-constraint", f"the models no longer have {op.constraint_name} as it was"
    elif isinstance(op, ops.AlterColumnOp):
        name = f"{qualified_name(op.schema, op.table_name)}.{op.column_name}"
        if op.modify_name:
            rule = "renaming-column" if on_postgresql else "rename"
            yield rule, f"requested by -x rename={name}:{op.modify_name}"
        if op.modify_type is not None and isinstance(op.existing_type, types.TypeEngine):
            rule = "changing-column-type" if on_postgresql else "change-type"
            new, old = op.modify_type, op.existing_type
            if not _types.holds_each_value(new, old, dialect):  # type: ignore[arg-type]
                yield rule, _describe_request("narrow", op, requests)
            elif on_postgresql and _types.is_free(new, old, dialect):  # type: ignore[arg-type]
                yield rule, f"{name} holds all its values as they are"
            else:
                yield rule, f"{name} keeps all its values; the server may copy the table meanwhile"
        if on_postgresql and op.modify_nullable:
            yield "ban-drop-not-null", f"the model says that {name} may be NULL"
        if on_postgresql and op.modify_server_default is None:
            yield "ban-drop-default", f"the model has no server default for {name}"


def _describe_request(
    kind: str, op: ops.DropTableOp | ops.DropColumnOp | ops.AlterColumnOp, requests: Requests
) -> str:
    table = qualified_name(op.schema, op.table_name)
    column = getattr(op, "column_name", "")
    names = sorted({table, f"{table}.{column}"} & set(getattr(requests, kind)))
    return "requested by " + " ".join(f"-x {kind}={name}" for name in names)


def _find_dangers(op: ops.MigrateOperation, dialect: Dialect, requests: Requests) -> Iterator[str]:
    if isinstance(op, ops.DropTableOp):
        name = qualified_name(op.schema, op.table_name)
        if not requests.is_requested("drop", name):
            yield _describe_drop(f"table {name}", name)
    elif isinstance(op, ops.DropColumnOp):
        table = qualified_name(op.schema, op.table_name)
        name = f"{table}.{op.column_name}"
        if not requests.is_requested("drop", table, op.column_name):
            yield _describe_drop(f"column {name}", name)
    elif isinstance(op, ops.AddColumnOp):
        column = op.column
        if not (column.nullable or column.server_default or column.identity or column.computed):
            yield _describe_not_null(qualified_name(op.schema, op.table_name), column, dialect)
    elif isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
        table = qualified_name(op.schema, op.table_name)
        old, new = op.existing_type, op.modify_type
        if isinstance(old, types.TypeEngine) and isinstance(new, types.TypeEngine):
            is_narrow = not _types.holds_each_value(new, old, dialect)
            if is_narrow and not requests.is_requested("narrow", table, op.column_name):
                yield _describe_narrowing(op, table, dialect)
    elif isinstance(op, AddEnumMembersOp) and op.removed:
        yield _describe_removed_members(op)


def _describe_drop(what: str, name: str) -> str:
    return (
        f"The models no longer have the {what}.\n"
        "  Danger: dropping it deletes its data for good, and the release that runs while you migrate"
        " still reads it.\n"
        "  Instead: first release code that doesn't use it. Then drop it: run the same command with"
        f" -x drop={name}\n"
        f"  If it was renamed: run the same command with -x rename={name}:NEW_NAME\n"
        "  The release that runs meanwhile knows the old name only. To go on serving it, add the new"
        " one, write to both, and drop the old one later."
    )


def _describe_not_null(table: str, column: Column[Any], dialect: Dialect) -> str:
    reason = NOT_NULL_REASONS.get(dialect.name, "Existing rows have no value for it.")
    default = _find_default(column)
    instead = (
        f"give existing rows a value in the model, as in {column.name}: Mapped[…] ="
        f" mapped_column(server_default={default}).\n  Or in three steps"
        if default
        else "add it in three steps, because each row needs a value of its own"
    )
    return (
        f"The new column {table}.{column.name} is NOT NULL and has no server default.\n"
        f"  Danger: {reason}\n"
        f"  Instead: {instead}: add it as {column.name}: Mapped[… | None], fill it (see flask db"
        " backfill --help), and make it NOT NULL in a later revision."
    )


def _find_default(column: Column[Any]) -> str:
    """Return a server default that fits the column, or nothing if no value fits all rows."""
    constraints = [*column.table.constraints, *column.table.indexes]
    is_unique = any(
        column.name in item.columns and len(item.columns) == 1
        for item in constraints
        if isinstance(item, PrimaryKeyConstraint | UniqueConstraint)
        or (isinstance(item, Index) and item.unique)
    )
    if column.foreign_keys or is_unique:
        return ""
    item = column.type
    while isinstance(item, TypeDecorator):
        item = item.impl_instance
    if isinstance(item, Enum):
        return f'"{item.enums[0]}"'
    return next((text for kinds, text in DEFAULTS if isinstance(item, kinds)), "")


def _describe_narrowing(op: ops.AlterColumnOp, table: str, dialect: Dialect) -> str:
    old, new = (it.compile(dialect=dialect) for it in (op.existing_type, op.modify_type))  # type: ignore[union-attr]
    return (
        f"The type of {table}.{op.column_name} changes from {old} to {new}.\n"
        "  Danger: the new type doesn't hold every value of the old one. The database cuts values off,"
        " converts them in its own way, or stops.\n"
        f"  Instead: add a column of the new type, fill it (see flask db backfill --help), use it, and"
        f" drop the old one later.\n"
        "  If each value fits, and the table may be locked while it is converted: run the same command"
        f" with -x narrow={table}.{op.column_name}"
    )


def _describe_removed_members(op: AddEnumMembersOp) -> str:
    members = ", ".join(op.removed)
    return (
        f"The enum type {op.name} has members that the models no longer have: {members}.\n"
        "  Danger: PostgreSQL can't remove a member, and rows may have it.\n"
        "  Instead: keep it in the models, and stop using it. If it was renamed: run flask db revision,"
        f" and write in the new file: op.execute(\"ALTER TYPE {op.name} RENAME VALUE '{op.removed[0]}'"
        " TO '…'\")"
    )
