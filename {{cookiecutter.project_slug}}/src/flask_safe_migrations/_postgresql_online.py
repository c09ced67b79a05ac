"""Writes changes of large PostgreSQL tables so that the service goes on, each in its own revision.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from alembic.operations import ops
from alembic.util import rev_id
from sqlalchemy import Column, Connection, Index, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import conv

from ._enums import AddEnumMembersOp
from ._operations import AllowOp, AutocommitOp, RenameColumnOp
from ._ordering import group, is_foreign_key_drop, table_of

# The name of a revision, its upgrade, and its downgrade.
Step = tuple[str, list[ops.MigrateOperation], list[ops.MigrateOperation]]
# How squawk calls these operations.
PARTITIONED: dict[type, str] = {
    ops.CreateForeignKeyOp: "adding-foreign-key-constraint constraint-missing-not-valid",
    ops.CreateIndexOp: "require-concurrent-index-creation",
    ops.CreateUniqueConstraintOp: "disallowed-unique-constraint constraint-missing-not-valid",
    ops.DropIndexOp: "require-concurrent-index-deletion",
}
MAX_ID = 32  # characters in the version table
PREPARER = postgresql.dialect(paramstyle="named").identifier_preparer


def split(
    script: ops.MigrationScript, upgrade: ops.UpgradeOps, connection: Connection | None
) -> list[ops.MigrationScript]:
    """Move what needs a revision of its own out of this one.

    Returns:
        The revision, and those before and after it.
    """
    before: list[Step] = []
    after: list[Step] = []
    keys: list[Step] = []
    created = {table_of(op) for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    tables = [op for op in upgrade.ops if isinstance(op, ops.ModifyTableOps)]
    changed = [table for table in tables if table_of(table) not in created]
    for table in changed:
        name = ".".join(PREPARER.quote(part) for part in table_of(table) if part)
        query = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)")
        if connection and connection.scalar(query, {"name": name}):
            _keep_together(table, upgrade)
    become_unique = {table_of(table) for table in changed if any(map(_is_unique, table.ops))}
    for enum in [op for op in upgrade.ops if isinstance(op, AddEnumMembersOp)]:
        upgrade.ops.remove(enum)
        added = AutocommitOp(*map(ops.ExecuteSQLOp, enum.statements))
        before.append((f"members of {enum.name}", [added], []))
    for table in tables:
        for op in list(table.ops):
            if isinstance(op, ops.CreateForeignKeyOp):
                referent = op.kw.get("referent_schema"), op.referent_table
                if referent in become_unique:
                    table.ops.remove(op)
                    add = [*group([op])]
                    keys.append((f"foreign key {op.constraint_name}", add, _reverse(add)))
                elif table_of(table) in created:
                    continue
                # Checked for new rows from now on; then, without a lock, for existing ones.
                op.kw["postgresql_not_valid"] = True
                keys.append(_validate(op.constraint_name, *table_of(op)))
            elif table in changed:
                _move(op, table, before, after)
    if any(map(_is_unique, _flatten(before))) and (drops := _take_foreign_key_drops(changed)):
        before.insert(0, ("foreign keys", drops, _reverse(drops)))
    upgrade.ops = [op for op in upgrade.ops if op not in tables or op.ops]  # type: ignore[attr-defined]
    main: list[Step] = [("", upgrade.ops, _reverse(upgrade.ops))] if upgrade.ops else []
    return _to_scripts(script, [*before, *main, *after, *keys], is_main=bool(main))


def _keep_together(table: ops.ModifyTableOps, upgrade: ops.UpgradeOps) -> None:
    """Keep in one revision what PostgreSQL can't do to a partitioned table without a lock."""
    for op in [op for op in table.ops if type(op) in PARTITIONED]:
        table.ops.remove(op)
        place = 0 if isinstance(op, ops.DropIndexOp) else len(upgrade.ops)
        upgrade.ops.insert(place, ops.ModifyTableOps(table.table_name, [op], schema=table.schema))
        reason = f"{table.table_name} is partitioned, which allows no other way"
        upgrade.ops[:0] = [AllowOp(rule, reason) for rule in PARTITIONED[type(op)].split()]


def _move(
    op: ops.MigrateOperation, table: ops.ModifyTableOps, before: list[Step], after: list[Step]
) -> None:
    """Move an operation, or the part of it that has to wait, into a revision of its own."""
    if isinstance(op, ops.DropIndexOp):
        table.ops.remove(op)
        new = next((it for it in table.ops if _creates_again(it, op)), None)
        if new and not any(_moves_columns(it) for it in table.ops):
            table.ops.remove(new)
            after.append(_replace_index(op.reverse(), new))
        else:
            before.append((f"drop index {op.index_name}", [_drop(op)], [*_create(op.reverse())]))
    elif isinstance(op, ops.CreateIndexOp) and op in table.ops:
        table.ops.remove(op)
        after.append((f"index {op.index_name}", [*_create(op)], [_drop(op)]))
    elif isinstance(op, ops.CreateUniqueConstraintOp):
        table.ops.remove(op)
        after += _unique(op)
    elif isinstance(op, ops.CreateCheckConstraintOp):
        op.kw["postgresql_not_valid"] = True
        after.append(_validate(op.constraint_name, op.schema, op.table_name))
    elif isinstance(op, ops.AlterColumnOp) and op.modify_nullable is False:
        op.modify_nullable = None
        if not (op.has_changes() or op.modify_name):
            table.ops.remove(op)
        after += _not_null(op)


def _to_scripts(
    script: ops.MigrationScript, steps: list[Step], *, is_main: bool
) -> list[ops.MigrationScript]:
    scripts: list[ops.MigrationScript] = []
    prefix = str(script.message or "")
    for name, forward, back in steps:
        message = f"{prefix} {name}".strip() if is_main or scripts else prefix
        if scripts:
            scripts.append(_following(scripts[-1], message, forward, back))
        else:
            script.message = message
            script.upgrade_ops, script.downgrade_ops = (
                ops.UpgradeOps(forward),
                ops.DowngradeOps(back),
            )
            scripts.append(script)
    return scripts


def _following(
    previous: ops.MigrationScript,
    message: str,
    upgrade: list[ops.MigrateOperation],
    downgrade: list[ops.MigrateOperation],
) -> ops.MigrationScript:
    return ops.MigrationScript(
        _next_id(str(previous.rev_id)),
        ops.UpgradeOps(upgrade),
        ops.DowngradeOps(downgrade),
        message=message,
        head=previous.rev_id,
        version_path=previous.version_path,
    )


def _next_id(previous: str) -> str:
    """Return the next number, as in 0002, or else an id that sorts after the one before."""
    if previous.isdecimal():
        return str(int(previous) + 1).zfill(len(previous))
    for _ in range(100):
        if (found := rev_id()) > previous and len(found) == len(previous):
            return found
    return f"{previous}b" if len(previous) < MAX_ID else rev_id()


def _reverse(operations: Sequence[Any]) -> list[ops.MigrateOperation]:
    return [op.reverse() for op in reversed(operations)]


def _flatten(steps: list[Step]) -> Iterator[ops.MigrateOperation]:
    for _, forward, _ in steps:
        for op in forward:
            yield from op.operations if isinstance(op, AutocommitOp) else [op]


def _is_unique(op: ops.MigrateOperation) -> bool:
    return (
        isinstance(op, ops.CreateUniqueConstraintOp)
        or (isinstance(op, ops.CreateIndexOp) and op.unique)
        or (isinstance(op, ops.DropIndexOp) and bool(op.kw.get("unique")))
    )


def _take_foreign_key_drops(tables: list[ops.ModifyTableOps]) -> list[ops.MigrateOperation]:
    """Take them out: they have to come before the unique index that they need is dropped."""
    drops = [op for table in tables for op in table.ops if is_foreign_key_drop(op)]
    for table in tables:
        table.ops = [op for op in table.ops if op not in drops]
    return [*group(drops)]


def _creates_again(op: ops.MigrateOperation, drop: ops.DropIndexOp) -> bool:
    return isinstance(op, ops.CreateIndexOp) and str(op.index_name) == str(drop.index_name)


def _moves_columns(op: ops.MigrateOperation) -> bool:
    return isinstance(op, ops.AddColumnOp | ops.DropColumnOp | RenameColumnOp)


def _create(op: ops.CreateIndexOp) -> Iterator[ops.MigrateOperation]:
    """Create the index, after removing what an interrupted attempt has left."""
    yield _drop(op)
    op.kw["postgresql_concurrently"] = True
    yield AutocommitOp(op)


def _drop(op: ops.CreateIndexOp | ops.DropIndexOp) -> ops.MigrateOperation:
    drop = ops.DropIndexOp(
        op.index_name,  # type: ignore[arg-type]  # it has a name
        op.table_name,
        schema=op.schema,
        if_exists=True,
        unique=op.unique if isinstance(op, ops.CreateIndexOp) else op.kw.get("unique"),
        postgresql_concurrently=True,
    )
    return AutocommitOp(drop)


def _replace_index(old: ops.CreateIndexOp, new: ops.CreateIndexOp) -> Step:
    """Create the new index beside the old one, which serves queries until the new one is valid."""

    def replace(by: ops.CreateIndexOp) -> Iterator[ops.MigrateOperation]:
        beside = by.reverse().reverse()
        beside.index_name = conv(f"{by.index_name}_new")
        yield AllowOp("renaming-object", "no query names an index")
        yield from _create(beside)
        yield _drop(by)
        schema = f"{PREPARER.quote(by.schema)}." if by.schema else ""
        names = f"{schema}{_format(beside.index_name)} RENAME TO {_format(by.index_name)}"
        yield ops.ExecuteSQLOp(f"ALTER INDEX {names}")

    return f"index {new.index_name}", [*replace(new)], [*replace(old)]


def _unique(op: ops.CreateUniqueConstraintOp) -> Iterator[Step]:
    """Create the index while the table is used; turning it into a constraint takes no time."""
    columns = [str(column) for column in op.columns]
    name = op.constraint_name or conv(f"{op.table_name}_{'_'.join(columns)}_key")
    options = {key: value for key, value in op.kw.items() if key.startswith("postgresql_")}

    def index() -> ops.CreateIndexOp:
        return ops.CreateIndexOp(
            name, op.table_name, columns, schema=op.schema, unique=True, **options
        )

    yield f"index {name}", [*_create(index())], [_drop(index())]
    quoted = _format(name)
    attach = f"ADD CONSTRAINT {quoted} UNIQUE USING INDEX {quoted}"
    if op.kw.get("deferrable"):
        attach += " DEFERRABLE"
    if op.kw.get("initially"):
        attach += f" INITIALLY {op.kw['initially']}"
    drop = ops.DropConstraintOp(name, op.table_name, type_="unique", schema=op.schema)
    # Dropping the constraint drops its index: the revision before has nothing left to drop.
    yield f"unique {name}", [_alter(op.schema, op.table_name, attach)], [drop, index()]


def _not_null(op: ops.AlterColumnOp) -> Iterator[Step]:
    """Validate a CHECK first: SET NOT NULL would read the whole table under an exclusive lock.

    With a valid CHECK it need not, and that is validated while the table is used:
    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
    """
    table, column = (op.schema, op.table_name), op.modify_name or op.column_name
    name = conv(f"ck_{op.table_name}_{column}_not_null")
    quoted = _format(name)
    add = _alter(
        *table, f"ADD CONSTRAINT {quoted} CHECK ({PREPARER.quote(column)} IS NOT NULL) NOT VALID"
    )
    drop = _alter(*table, f"DROP CONSTRAINT {quoted}")
    allowed = [
        AllowOp("adding-not-nullable-field", f"the check {quoted} has been validated"),
        AllowOp("ban-drop-constraint", "NOT NULL takes the place of the check"),
    ]
    require = ops.AlterColumnOp(
        op.table_name,
        column,
        schema=op.schema,
        existing_type=op.existing_type if op.modify_type is None else op.modify_type,
        existing_nullable=True,
        modify_nullable=False,
    )
    yield f"check {column}", [add], [drop]
    yield _validate(name, *table, f"validate {column}")
    yield f"not null {column}", [*allowed, require, drop], [add, require.reverse()]


def _validate(name: object, schema: str | None, table: str, title: str = "") -> Step:
    statement = _alter(schema, table, f"VALIDATE CONSTRAINT {_format(name)}")
    return title or f"validate {name}", [statement], []


def _alter(schema: str | None, table: str, change: str) -> ops.ExecuteSQLOp:
    name = ".".join(PREPARER.quote(part) for part in (schema, table) if part)
    return ops.ExecuteSQLOp(f"ALTER TABLE {name} {change}")


def _format(name: object) -> str:
    """Return the name as PostgreSQL takes it: quoted where that is needed, and not too long."""
    index = Index(name if isinstance(name, conv) else str(name), Column("x"))
    return PREPARER.format_index(index)
