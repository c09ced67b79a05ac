"""Refuses changes that are dangerous for a database in use, before `flask db migrate` writes them.

Each message names the danger, says why it is one on this database, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import CommandError

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


class AllowOp(ops.MigrateOperation):
    """A comment in the revision by which `flask db lint` accepts an operation."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        self.reason = reason


@renderers.dispatch_for(AllowOp)
def _render_allow(context: AutogenContext, op: AllowOp) -> list[str]:
    return [f"# lint: allow {op.rule}: {op.reason}"]


def allow_drops(upgrade: ops.UpgradeOps, dialect: str, requested: Collection[str]) -> None:
    """Write in the revision that the drops were requested."""
    operations = [
        *upgrade.ops,
        *(op for table in upgrade.ops if isinstance(table, ops.ModifyTableOps) for op in table.ops),
    ]
    for kind, what in ((ops.DropColumnOp, "column"), (ops.DropTableOp, "table")):
        if any(isinstance(op, kind) for op in operations):
            rule = f"ban-drop-{what}" if dialect == "postgresql" else f"drop-{what}"
            options = " ".join(f"-x drop={name}" for name in sorted(requested))
            upgrade.ops.insert(0, AllowOp(rule, f"requested by {options}"))


def check(upgrade: ops.UpgradeOps, dialect: str, requested_drops: Collection[str]) -> None:
    """Check what the next revision would do.

    Args:
        requested_drops: The tables, and columns as `table.column`, that may be dropped.

    Raises:
        CommandError: It is dangerous.
    """
    created = {op.table_name for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    found = list(_find_dangers(upgrade.ops, dialect, created, requested_drops))
    if found:
        raise CommandError("\n\n".join(["No revision was written.", *found]))


def _find_dangers(
    operations: Iterable[ops.MigrateOperation],
    dialect: str,
    created: Collection[str],
    requested_drops: Collection[str],
) -> Iterator[str]:
    for op in operations:
        if isinstance(op, ops.ModifyTableOps):
            yield from _find_dangers(op.ops, dialect, created, requested_drops)
        elif isinstance(op, ops.DropTableOp) and op.table_name not in requested_drops:
            yield _describe_drop(f"table {op.table_name}", op.table_name)
        elif isinstance(op, ops.DropColumnOp):
            name = f"{op.table_name}.{op.column_name}"
            if not {name, op.table_name} & set(requested_drops):
                yield _describe_drop(f"column {name}", name)
        elif isinstance(op, ops.AddColumnOp) and op.table_name not in created:
            column = op.column
            if not (column.nullable or column.server_default or column.identity or column.computed):
                yield _describe_not_null(f"{op.table_name}.{column.name}", dialect)


def _describe_drop(what: str, name: str) -> str:
    return (
        f"The models no longer have the {what}.\n"
        "  Danger: dropping it deletes its data for good, and the release that runs while you migrate"
        " still reads it.\n"
        "  Instead: first release code that doesn't use it. Then drop it: run the same command with"
        f" -x drop={name}\n"
        "  If it was renamed: run flask db revision, and write op.alter_column(…,"
        " new_column_name=…) or op.rename_table(…) in the new file."
    )


def _describe_not_null(name: str, dialect: str) -> str:
    column = name.partition(".")[2]
    return (
        f"The new column {name} is NOT NULL and has no server default.\n"
        f"  Danger: {NOT_NULL_REASONS.get(dialect, 'Existing rows have no value for it.')}\n"
        f"  Instead: give existing rows a value in the model, as in {column}: Mapped[…] ="
        ' mapped_column(server_default="0").\n'
        f"  Or in three steps: add it as {column}: Mapped[… | None], fill it, and make it NOT NULL"
        " in a later revision."
    )
