"""Writes changes of large PostgreSQL tables so that the service goes on, each in its own revision.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops
from alembic.util import rev_id

from ._safety_checks import AllowOp

# The name of a revision, its upgrade, and its downgrade.
Step = tuple[str, list[ops.MigrateOperation], list[ops.MigrateOperation]]


class AutocommitOp(ops.MigrateOperation):
    """An operation that PostgreSQL refuses in a transaction."""

    def __init__(self, operation: ops.MigrateOperation) -> None:
        self.operation = operation


@renderers.dispatch_for(AutocommitOp)
def _render_autocommit(context: AutogenContext, op: AutocommitOp) -> list[str]:
    return ["with op.get_context().autocommit_block():", *render_op(context, op.operation), ""]


def split(
    script: ops.MigrationScript, upgrade: ops.UpgradeOps, downgrade: ops.DowngradeOps
) -> list[ops.MigrationScript]:
    """Move what needs a revision of its own out of this one.

    Returns:
        The revision and those that follow it.
    """
    created = {op.table_name for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    required: set[tuple[str, str]] = set()  # columns that become NOT NULL
    later: list[Step] = []
    for table in upgrade.ops:
        if not isinstance(table, ops.ModifyTableOps) or table.table_name in created:
            continue
        for op in list(table.ops):
            if isinstance(op, ops.CreateIndexOp):
                table.ops.remove(op)
                later.append((f"index {op.index_name}", [*_create(op)], [_drop(op)]))
            elif isinstance(op, ops.CreateUniqueConstraintOp):
                table.ops.remove(op)
                later += _unique(op)
            elif isinstance(op, ops.AlterColumnOp) and op.modify_nullable is False:
                required.add((op.table_name, op.column_name))
                later += _not_null(op)
            elif isinstance(op, ops.CreateForeignKeyOp):
                # Checked for new rows from now on; then, without a lock, for existing ones.
                op.kw["postgresql_not_valid"] = True
                later.append(
                    (
                        f"validate {op.constraint_name}",
                        [_validate(op.source_table, str(op.constraint_name))],
                        [],
                    )
                )
    moved = {name.partition(" ")[2] for name, _, _ in later if not name.startswith("validate")}
    for table in downgrade.ops:
        if isinstance(table, ops.ModifyTableOps):
            table.ops = [op for op in table.ops if _name(op) not in moved]
    for container in (upgrade, downgrade):
        _leave_nullable(container, required)
        container.ops = [
            op for op in container.ops if not (isinstance(op, ops.ModifyTableOps) and not op.ops)
        ]

    scripts = [] if upgrade.is_empty() and later else [script]
    for name, forward, back in later:
        if not scripts:
            upgrade.ops, downgrade.ops = forward, back
            scripts.append(script)
            continue
        scripts.append(_following(scripts[-1], f"{script.message or ''} {name}", forward, back))
    return scripts


def _following(
    previous: ops.MigrationScript,
    message: str,
    upgrade: list[ops.MigrateOperation],
    downgrade: list[ops.MigrateOperation],
) -> ops.MigrationScript:
    # Files of the same second sort by the revision.
    while (revision := rev_id()) < str(previous.rev_id):
        pass
    return ops.MigrationScript(
        revision,
        ops.UpgradeOps(upgrade),
        ops.DowngradeOps(downgrade),
        message=message.strip(),
        head=previous.rev_id,
        version_path=previous.version_path,
    )


def _create(op: ops.CreateIndexOp) -> Iterator[ops.MigrateOperation]:
    """Create the index, after removing what an interrupted attempt has left."""
    yield AutocommitOp(
        ops.DropIndexOp(
            str(op.index_name), op.table_name, if_exists=True, postgresql_concurrently=True
        )
    )
    op.kw["postgresql_concurrently"] = True
    yield AutocommitOp(op)


def _drop(op: ops.CreateIndexOp) -> ops.MigrateOperation:
    return AutocommitOp(
        ops.DropIndexOp(str(op.index_name), op.table_name, postgresql_concurrently=True)
    )


def _unique(op: ops.CreateUniqueConstraintOp) -> Iterator[Step]:
    """Create the index while the table is used; turning it into a constraint takes no time."""
    name, columns = str(op.constraint_name), [str(column) for column in op.columns]
    index = ops.CreateIndexOp(name, op.table_name, columns, unique=True)
    yield f"index {name}", [*_create(index)], [_drop(index)]
    attach = f'ALTER TABLE "{op.table_name}" ADD CONSTRAINT "{name}" UNIQUE USING INDEX "{name}"'
    drop = ops.DropConstraintOp(name, op.table_name, type_="unique")
    # Dropping the constraint drops its index: the revision before has nothing left to drop.
    rebuild = ops.CreateIndexOp(name, op.table_name, columns, unique=True)
    yield f"unique {name}", [ops.ExecuteSQLOp(attach)], [drop, rebuild]


def _not_null(op: ops.AlterColumnOp) -> Iterator[Step]:
    """Validate a CHECK first: SET NOT NULL would read the whole table under an exclusive lock.

    With a valid CHECK it need not, and that is validated while the table is used:
    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
    """
    table, column = op.table_name, op.column_name
    name = f"ck_{table}_{column}_not_null"[:63]  # the longest name that PostgreSQL takes
    add = f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" CHECK ("{column}" IS NOT NULL) NOT VALID'
    drop = f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"'
    allowed = [
        AllowOp("adding-not-nullable-field", f"the check {name} has been validated"),
        AllowOp("ban-drop-constraint", "NOT NULL takes the place of the check"),
    ]
    require = ops.AlterColumnOp(
        table,
        column,
        existing_type=op.existing_type,
        existing_nullable=True,
        modify_nullable=False,
    )
    yield f"check {column}", [ops.ExecuteSQLOp(add)], [ops.ExecuteSQLOp(drop)]
    yield f"validate {column}", [_validate(table, name)], []
    yield (
        f"not null {column}",
        [*allowed, require, ops.ExecuteSQLOp(drop)],
        [ops.ExecuteSQLOp(add), require.reverse()],
    )


def _leave_nullable(operations: ops.OpContainer, columns: Collection[tuple[str, str]]) -> None:
    """Remove what later revisions do to these columns."""
    for table in operations.ops:
        if isinstance(table, ops.ModifyTableOps):
            for op in list(table.ops):
                if isinstance(op, ops.AlterColumnOp) and (op.table_name, op.column_name) in columns:
                    op.modify_nullable = None
                    if not op.has_changes():
                        table.ops.remove(op)


def _validate(table: str, name: str) -> ops.MigrateOperation:
    return ops.ExecuteSQLOp(f'ALTER TABLE "{table}" VALIDATE CONSTRAINT "{name}"')


def _name(op: ops.MigrateOperation) -> str | None:
    if isinstance(op, ops.DropIndexOp):
        return str(op.index_name)
    if isinstance(op, ops.DropConstraintOp):
        return str(op.constraint_name)
    return None
