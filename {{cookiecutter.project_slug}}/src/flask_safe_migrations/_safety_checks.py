"""Refuses changes that are dangerous for a database in use, before `flask db migrate` writes them."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
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

REFUSALS = tomllib.loads((Path(__file__).parent / "refusals.toml").read_text(encoding="utf-8"))
NO_MODELS = (
    "No revision was written. Without models, it would drop every table. Import your models where"
    " the application is created, for example in __init__.py."
)

CALL = re.compile(r"\b(?!now\b)\w+\s*\(", re.IGNORECASE)  # of a function that may not be constant
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
    found = [
        _describe(danger, op, dialect)
        for op in flatten(upgrade)
        for danger in _find_dangers(op, dialect)
        if "option" not in danger or not requests.find(danger["option"], op)
    ]
    if found:
        raise CommandError("\n\n".join(["No revision was written.", *found]))


def allow(upgrade: ops.UpgradeOps, dialect: Dialect, requests: Requests) -> None:
    """Write in the revision why `flask db lint` accepts what was requested, or loses nothing."""
    reasons: dict[str, dict[str, None]] = {}
    for op in flatten(upgrade):
        found = [*_find_reasons(op, dialect)]
        for danger in _find_dangers(op, dialect):
            if "option" in danger:
                asked = requests.find(danger["option"], op)
                found.append((danger["rules"], f"requested by {asked}"))
        for rules, why in found:
            on_postgresql, elsewhere = rules.split("/")
            if rule := on_postgresql if dialect.name == "postgresql" else elsewhere:
                reasons.setdefault(rule, {})[why] = None
    upgrade.ops[:0] = [AllowOp(rule, "; ".join(texts)) for rule, texts in reasons.items()]


def _find_reasons(op: Any, dialect: Dialect) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield the rules that the operation breaks, on PostgreSQL and elsewhere, and why it may."""
    if isinstance(op, ops.RenameTableOp):
        yield "renaming-table/rename", f"requested by -x rename={name_of(op)}:{op.new_table_name}"
    elif isinstance(op, ops.AddColumnOp) and isinstance(op.column.server_default, sa.DefaultClause):
        yield "adding-field-with-default/", "all rows get the same value"
    elif isinstance(op, ops.DropConstraintOp):
        yield "ban-drop-constraint/", f"the models removed or changed {op.constraint_name}"
    elif isinstance(op, ops.AlterColumnOp):
        name = name_of(op)
        if op.modify_name:
            yield "renaming-column/rename", f"requested by -x rename={name}:{op.modify_name}"
        if op.modify_type is not None and not _find_type_danger(op, dialect):
            why = "SQLite has one writer" if dialect.name == "sqlite" else "no row is rewritten"
            yield "changing-column-type/change-type", f"each value of {name} fits, and {why}"
        if op.modify_nullable:
            yield "ban-drop-not-null/", f"{name} is nullable in the models"


def _find_dangers(op: Any, dialect: Dialect) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield what refusals.toml says of the operation."""
    on_postgresql, on_mysql = dialect.name == "postgresql", dialect.name in ("mysql", "mariadb")
    kind = ""
    if isinstance(op, AddEnumMembersOp) and op.removed:
        kind = "members"
    elif isinstance(op, ops.DropTableOp):
        kind = "drop-table"
    elif isinstance(op, ops.DropColumnOp):
        kind = "drop-column"
    elif isinstance(op, ops.AddColumnOp):
        column, default = op.column, getattr(op.column.server_default, "arg", "")
        is_call = not isinstance(default, str) and CALL.search(str(default))
        if not (column.nullable or column.server_default or column.identity or column.computed):
            kind = "not-null"
        elif column.computed and (on_postgresql or (on_mysql and column.computed.persisted)):
            kind = "rewrite-computed"
        elif (is_call and (on_postgresql or on_mysql)) or (column.identity and on_postgresql):
            kind = "rewrite-value"
    elif isinstance(op, ops.CreateCheckConstraintOp) and on_mysql:
        kind = "rewrite-check"
    elif isinstance(op, ops.AlterColumnOp):
        kind = _find_type_danger(op, dialect)
        if op.modify_server_default is None:
            yield REFUSALS["default"]
    if kind:
        yield REFUSALS.get(kind.partition("-")[0], {}) | REFUSALS[kind]


def _find_type_danger(op: ops.AlterColumnOp, dialect: Dialect) -> str:
    new, old = op.modify_type, op.existing_type
    if new is not None and not _types.holds_each_value(new, old, dialect):
        return "narrow"
    if new is None or _types.keeps_rows(new, old, dialect):
        return ""
    is_enum = isinstance(new, sa.Enum) and dialect.name != "postgresql"
    return "rewrite-enum" if is_enum else "rewrite-type"


def _describe(danger: dict[str, Any], op: Any, dialect: Dialect) -> str:  # noqa: ANN401
    """Return the text of a refusal."""
    why, values = danger["danger"], {"op": op}
    if isinstance(op, AddEnumMembersOp):
        values |= {"name": op.name, "members": ", ".join(op.removed)}
    else:
        values["name"] = name_of(op)
    if isinstance(why, dict):
        why = why.get(dialect.name) or why["other"]
    if isinstance(op, ops.AddColumnOp):
        values["advice"] = _advise_not_null(op.column)
    for key in ("existing_type", "modify_type"):
        if (item := getattr(op, key, None)) is not None:
            values[key] = item.compile(dialect=dialect)
    lines = danger["what"], f"Danger: {why}", f"Instead: {danger['instead']}"
    return "\n  ".join([*lines, *danger.get("or_else", [])]).format(**values)


def _advise_not_null(column: sa.Column[Any]) -> str:
    if default := _find_default(column):
        model = f"{column.name}: Mapped[…] = mapped_column(server_default={default})"
        return f"give the column a server default, as in {model}.\n  Or in three steps"
    return "each row needs a value of its own, so add it in three steps"


def _find_default(column: sa.Column[Any]) -> str:
    """Return a server default that fits the column, or nothing if rows can't share one."""
    items: list[Any] = [*column.table.indexes, *column.table.constraints]
    own = [it for it in items if [*getattr(it, "columns", ())] == [column]]
    is_unique = any(isinstance(it, sa.UniqueConstraint) or getattr(it, "unique", 0) for it in own)
    if is_unique or column.primary_key or column.foreign_keys:
        return ""
    item = column.type
    while isinstance(item, sa.types.TypeDecorator):
        item = item.impl_instance
    if isinstance(item, sa.Enum):
        return f'"{item.enums[0]}"'
    return next((text for kind, text in DEFAULTS if isinstance(item, kind)), "")
