"""Refuses changes that are dangerous for a database in use, before `flask db migrate` writes them."""

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from alembic.util import CommandError
from sqlalchemy.engine import Dialect

from . import _types
from ._enums import AddEnumMembersOp
from ._ordering import flatten, name_of
from ._renames import Requests
from ._rendering import AllowOp

REWRITE = (
    "The new column {name} gets a value of its own in each row.\n"
    "  Danger: PostgreSQL writes the whole table again, and nobody can use it meanwhile.\n"
    "  Instead: add the column without a default, give it the default in a later revision, and fill"
    " existing rows (see flask db backfill --help).\n"
    "  If the table is small: run the same command with -x rewrite={name}"
)
DROP = (
    "The models no longer have the {kind} {name}.\n"
    "  Danger: dropping it deletes its data for good, and the running release still reads it.\n"
    "  Instead: first release code that doesn't use it. Then drop it: run the same command with -x"
    " drop={name}\n"
    "  If it was renamed: run the same command with -x rename={name}:NEW_NAME. The running release"
    " knows the old name only. So in a service that has to go on, add the new one, write to both, and"
    " drop the old one later."
)
REMOVED_MEMBERS = (
    "The enum {op.name} has members that the models no longer have: {members}.\n"
    "  Danger: PostgreSQL can't remove a member, and rows may have it.\n"
    "  Instead: keep it in the models, and stop using it. If it was renamed: run flask db revision, and"
    ' write in the new file: op.execute("ALTER TYPE {op.name} RENAME VALUE'
    " '{op.removed[0]}' TO '…'\")"
)
NO_MODELS = (
    "The application has no models: the revision would drop every table. A model is known once its"
    " module is imported, for example in __init__.py."
)

CALL = re.compile(r"\b(?!now\b)\w+\s*\(", re.IGNORECASE)  # of a function that may not be constant
# What happens to a NOT NULL column without a server default, where the table has rows.
NOT_NULL_REASONS = {
    "sqlite": "SQLite refuses such a column, even where the table is empty.",
    "postgresql": "PostgreSQL refuses it as soon as the table has one row.",
    "mysql": "MySQL fills existing rows with 0 or '' without a warning.",
    "mariadb": "MariaDB fills existing rows with 0 or '' without a warning.",
}
# The value that existing rows may get, by the type of the column.
DEFAULTS: list[tuple[Any, str]] = [
    (sa.Boolean, "sa.false()"),
    (sa.Integer | sa.Numeric, '"0"'),
    (sa.DateTime, "sa.func.now()"),
    (sa.Date, 'sa.text("(CURRENT_DATE)")'),
    (sa.JSON, "sa.text(\"('{}')\")"),
    (sa.Text, "sa.text(\"('')\")"),  # MySQL takes it in parentheses only
    (sa.String, '""'),
]


def check(upgrade: ops.UpgradeOps, dialect: Dialect, requests: Requests) -> None:
    found = [text for op in flatten(upgrade) for text in _find_dangers(op, dialect, requests)]
    if found:
        raise CommandError("\n\n".join(["No revision was written.", *found]))


def allow(upgrade: ops.UpgradeOps, dialect: Dialect, requests: Requests) -> None:
    """Write in the revision why `flask db lint` accepts what was requested, or loses nothing."""
    reasons: dict[str, dict[str, None]] = {}
    found = [it for op in flatten(upgrade) for it in _find_reasons(op, dialect, requests)]
    for rules, why in found:
        on_postgresql, elsewhere = rules.split("/")
        if rule := on_postgresql if dialect.name == "postgresql" else elsewhere:
            reasons.setdefault(rule, {})[why] = None
    upgrade.ops[:0] = [AllowOp(rule, "; ".join(texts)) for rule, texts in reasons.items()]


def _find_reasons(op: Any, dialect: Dialect, requests: Requests) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield the rules that the operation breaks, on PostgreSQL and elsewhere, and why it may."""
    if isinstance(op, ops.DropTableOp):
        yield "ban-drop-table/drop-table", f"requested by {requests.find('drop', op)}"
    elif isinstance(op, ops.DropColumnOp):
        yield "ban-drop-column/drop-column", f"requested by {requests.find('drop', op)}"
    elif isinstance(op, ops.RenameTableOp):
        yield "renaming-table/rename", f"requested by -x rename={name_of(op)}:{op.new_table_name}"
    elif isinstance(op, ops.AddColumnOp) and op.column.server_default is not None:
        asked = requests.find("rewrite", op)
        reason = f"requested by {asked}" if asked else "all rows share the value"
        yield "adding-field-with-default/", reason
    elif isinstance(op, ops.DropConstraintOp):
        yield "ban-drop-constraint/", f"the models no longer have {op.constraint_name} as it was"
    elif isinstance(op, ops.AlterColumnOp):
        name = f"{name_of(op)}.{op.column_name}"
        if op.modify_name:
            yield "renaming-column/rename", f"requested by -x rename={name}:{op.modify_name}"
        if op.modify_type is not None:
            reason = f"{name} holds all its values; a server that copies the table locks it"
            if not _types.holds_each_value(op.modify_type, op.existing_type, dialect):
                reason = f"requested by {requests.find('narrow', op)}"
            yield "changing-column-type/change-type", reason
        if op.modify_nullable:
            yield "ban-drop-not-null/", f"the models let {name} be NULL"
        if op.modify_server_default is None:
            yield "ban-drop-default/", f"the models have no server default for {name}"


def _find_dangers(op: Any, dialect: Dialect, requests: Requests) -> Iterator[str]:  # noqa: ANN401
    if isinstance(op, ops.DropTableOp) and not requests.find("drop", op):
        yield DROP.format(kind="table", name=name_of(op))
    elif isinstance(op, ops.DropColumnOp) and not requests.find("drop", op):
        yield DROP.format(kind="column", name=f"{name_of(op)}.{op.column_name}")
    elif isinstance(op, ops.AddColumnOp):
        column = op.column
        if not (column.nullable or column.server_default or column.identity or column.computed):
            yield _describe_not_null(name_of(op), column, dialect)
        default = getattr(column.server_default, "arg", "")
        is_call = not isinstance(default, str) and CALL.search(str(default))
        is_computed = is_call or column.identity or column.computed
        if dialect.name == "postgresql" and is_computed and not requests.find("rewrite", op):
            yield REWRITE.format(name=f"{name_of(op)}.{column.name}")
    elif isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
        is_wider = _types.holds_each_value(op.modify_type, op.existing_type, dialect)
        if not is_wider and not requests.find("narrow", op):
            yield _describe_narrowing(op, dialect)
    elif isinstance(op, AddEnumMembersOp) and op.removed:
        yield REMOVED_MEMBERS.format(op=op, members=", ".join(op.removed))


def _describe_not_null(table: str, column: sa.Column[Any], dialect: Dialect) -> str:
    instead = "each row needs a value of its own, so add it in three steps"
    if default := _find_default(column):
        model = f"{column.name}: Mapped[…] = mapped_column(server_default={default})"
        instead = f"give existing rows a value in the model, as in {model}.\n  Or in three steps"
    return (
        f"The new column {table}.{column.name} is NOT NULL and has no server default.\n"
        f"  Danger: {NOT_NULL_REASONS.get(dialect.name, 'Existing rows have no value for it.')}\n"
        f"  Instead: {instead}: add it as {column.name}: Mapped[… | None], fill it (see flask db"
        " backfill --help), and make it NOT NULL in a later revision."
    )


def _find_default(column: sa.Column[Any]) -> str:
    """Return a server default that fits the column, or nothing if rows can't share one."""
    items: list[Any] = [*column.table.indexes, *column.table.constraints]
    uniques = [
        it for it in items if isinstance(it, sa.UniqueConstraint) or getattr(it, "unique", False)
    ]
    is_unique = any([*it.columns] == [column] for it in uniques)
    if is_unique or column.primary_key or column.foreign_keys:
        return ""
    item = column.type
    while isinstance(item, sa.types.TypeDecorator):
        item = item.impl_instance
    if isinstance(item, sa.Enum):
        return f'"{item.enums[0]}"'
    return next((text for kind, text in DEFAULTS if isinstance(item, kind)), "")


def _describe_narrowing(op: Any, dialect: Dialect) -> str:  # noqa: ANN401
    name = f"{name_of(op)}.{op.column_name}"
    old, new = (it.compile(dialect=dialect) for it in (op.existing_type, op.modify_type))
    return (
        f"The type of {name} changes from {old} to {new}.\n"
        "  Danger: values of the old type that the new one doesn't hold are cut off or refused.\n"
        "  Instead: add a column of the new type, fill it (see flask db backfill --help), use it, and"
        " drop the old one later.\n"
        "  If each value fits, and the table may be locked while it is converted: run the same command"
        f" with -x narrow={name}"
    )
