"""Changes that `flask db migrate` does not write, for they would hurt a database that is in use.

Each refusal names the danger, says why it is one on this database, and what to type instead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import CommandError

NO_MODELS = (
    "The application has no models: the revision would drop every table. A model counts once its"
    " module is imported, for example by create_app in __init__.py."
)

# What becomes of a NOT NULL column without a server default, where the table has rows.
NOT_NULL_REASONS = {
    "sqlite": "SQLite refuses such a column, even where the table is empty.",
    "postgresql": "PostgreSQL refuses it as soon as the table has one row.",
    "mysql": "MySQL fills the rows there are with 0 or '' and says nothing.",
    "mariadb": "MariaDB fills the rows there are with 0 or '' and says nothing.",
}


class AllowOp(ops.MigrateOperation):
    """The line that tells `flask db lint` that an operation of the revision is meant."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        self.reason = reason


@renderers.dispatch_for(AllowOp)
def _render_allow(context: AutogenContext, op: AllowOp) -> list[str]:
    return [f"# lint: allow {op.rule}: {op.reason}"]


def allow_drops(upgrade: ops.UpgradeOps, dialect: str, asked_for: Collection[str]) -> None:
    """Write down that what is dropped was asked for."""
    operations = [
        *upgrade.ops,
        *(op for table in upgrade.ops if isinstance(table, ops.ModifyTableOps) for op in table.ops),
    ]
    for kind, what in ((ops.DropColumnOp, "column"), (ops.DropTableOp, "table")):
        if any(isinstance(op, kind) for op in operations):
            rule = f"ban-drop-{what}" if dialect == "postgresql" else f"drop-{what}"
            asked = " ".join(f"-x drop={name}" for name in sorted(asked_for))
            upgrade.ops.insert(0, AllowOp(rule, f"asked for by {asked}"))


def refuse(upgrade: ops.UpgradeOps, dialect: str, drops_asked_for: Collection[str]) -> None:
    """Look through what the next revision would do.

    Args:
        drops_asked_for: the tables, and columns as `table.column`, that may be dropped.

    Raises:
        CommandError: it would do harm.
    """
    created = {op.table_name for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    found = list(_refusals(upgrade.ops, dialect, created, drops_asked_for))
    if found:
        raise CommandError("\n\n".join(["No revision was written.", *found]))


def _refusals(
    operations: Iterable[ops.MigrateOperation],
    dialect: str,
    created: Collection[str],
    drops_asked_for: Collection[str],
) -> Iterator[str]:
    for op in operations:
        if isinstance(op, ops.ModifyTableOps):
            yield from _refusals(op.ops, dialect, created, drops_asked_for)
        elif isinstance(op, ops.DropTableOp) and op.table_name not in drops_asked_for:
            yield _dropped(f"table {op.table_name}", op.table_name)
        elif isinstance(op, ops.DropColumnOp):
            name = f"{op.table_name}.{op.column_name}"
            if not {name, op.table_name} & set(drops_asked_for):
                yield _dropped(f"column {name}", name)
        elif isinstance(op, ops.AddColumnOp) and op.table_name not in created:
            column = op.column
            if not (column.nullable or column.server_default or column.identity or column.computed):
                yield _not_null(f"{op.table_name}.{column.name}", dialect)


def _dropped(what: str, name: str) -> str:
    return (
        f"The models no longer have the {what}.\n"
        "  Danger: dropping it deletes its data for good, and the release that is running while you"
        " migrate still reads it.\n"
        "  Instead: release code that doesn't use it first. Then drop it, with the command as"
        f" before and: -x drop={name}\n"
        "  If it was renamed: flask db revision, and write op.alter_column(…, new_column_name=…) or"
        " op.rename_table(…) there."
    )


def _not_null(name: str, dialect: str) -> str:
    column = name.partition(".")[2]
    return (
        f"The new column {name} is NOT NULL and has no server default.\n"
        f"  Danger: {NOT_NULL_REASONS.get(dialect, 'The rows there are have no value for it.')}\n"
        f"  Instead: say in the model what they get, as in {column}: Mapped[…] ="
        ' mapped_column(server_default="0").\n'
        f"  Or in three steps: {column}: Mapped[… | None] now, fill it, and NOT NULL in a revision"
        " after that."
    )
