"""Writes changes of large PostgreSQL tables so that the service goes on, each in its own revision.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from alembic.util import rev_id
from sqlalchemy import Column, Connection, Index, text
from sqlalchemy.schema import conv

from ._enums import DIALECT, AddEnumMembersOp, quote
from ._ordering import Table, group, is_foreign_key_drop, referent_of, reverse, table_of
from ._rendering import AllowOp, AutocommitOp, CastColumnOp, RenameColumnOp
from ._types import needs_cast

# The name of a revision, its upgrade, and its downgrade.
Step = tuple[str, list[Any], list[Any]]
PREPARER = DIALECT.identifier_preparer
# How squawk calls these operations.
PARTITIONED: dict[type, str] = {
    ops.CreateForeignKeyOp: "adding-foreign-key-constraint constraint-missing-not-valid",
    ops.CreateIndexOp: "require-concurrent-index-creation",
    ops.CreateUniqueConstraintOp: "disallowed-unique-constraint constraint-missing-not-valid",
    ops.DropIndexOp: "require-concurrent-index-deletion",
}
MAX_ID = 32  # characters in the version table
MOVES_COLUMNS = (ops.AddColumnOp, ops.DropColumnOp, RenameColumnOp)


def split(
    script: ops.MigrationScript, upgrade: ops.UpgradeOps, connection: Connection | None
) -> list[ops.MigrationScript]:
    """Return the revision without what needs its own, and the revisions before and after it."""
    before: list[Step] = []
    after: list[Step] = []
    keys: list[Step] = []
    created = {table_of(op) for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}
    renames = [op for op in upgrade.ops if isinstance(op, ops.RenameTableOp)]
    renamed = [(op.schema, op.new_table_name) for op in renames]
    tables = [op for op in upgrade.ops if isinstance(op, ops.ModifyTableOps)]
    changed = [table for table in tables if table_of(table) not in created]
    for table in changed:
        name = quote(*table_of(table))
        query = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)")
        if connection and connection.scalar(query, {"name": name}):
            _keep_together(table, upgrade)
    unique: Any = (ops.CreateUniqueConstraintOp, ops.CreateIndexOp)
    found = [op for table in changed for op in table.ops if isinstance(op, unique)]
    become_unique = {table_of(op) for op in found if getattr(op, "unique", True)}
    for enum in [op for op in upgrade.ops if isinstance(op, AddEnumMembersOp)]:
        upgrade.ops.remove(enum)
        before.append((f"members of {enum.name}", [AutocommitOp(*enum.operations)], []))
    for table in tables:
        for op in list(table.ops):
            if isinstance(op, ops.CreateForeignKeyOp):
                if referent_of(op) in become_unique:
                    table.ops.remove(op)
                    name = f"foreign key {op.constraint_name}"
                    keys.append((name, [*group([op])], [op.reverse()]))
                elif table not in changed:
                    continue
                # Checked for new rows from now on; then, without a lock, for existing ones.
                op.kw["postgresql_not_valid"] = True
                keys.append(_validate(op.constraint_name, table_of(op)))
            elif table in changed:
                _move(op, table, after if table_of(table) in renamed else before, after)
    drops = [op for table in changed for op in table.ops if is_foreign_key_drop(op)]
    if drops and any(name.startswith("drop index") for name, _, _ in before):
        for table in changed:  # they may need the index
            table.ops = [op for op in table.ops if op not in drops]
        before.insert(0, ("drop foreign keys", [*group(drops)], reverse([*group(drops)])))
    upgrade.ops = [op for op in upgrade.ops if getattr(op, "ops", True)]
    main: list[Step] = [("", upgrade.ops, reverse(upgrade.ops))] if upgrade.ops else []
    return [*_to_scripts(script, [*before, *main, *after, *keys], keeps_name=not main)]


def _keep_together(table: ops.ModifyTableOps, upgrade: ops.UpgradeOps) -> None:
    """Keep in one revision what PostgreSQL can't do to a partitioned table without a lock."""
    for op in [op for op in table.ops if type(op) in PARTITIONED]:
        table.ops.remove(op)
        place = 0 if isinstance(op, ops.DropIndexOp) else len(upgrade.ops)
        upgrade.ops.insert(place, ops.ModifyTableOps(table.table_name, [op], schema=table.schema))
        reason = f"{table.table_name} is partitioned, so PostgreSQL has to lock it"
        upgrade.ops[:0] = [AllowOp(rule, reason) for rule in PARTITIONED[type(op)].split()]


def _move(op: Any, table: ops.ModifyTableOps, before: list[Step], after: list[Step]) -> None:  # noqa: ANN401
    """Move an operation, or the part of it that has to wait, into a revision of its own."""
    if isinstance(op, ops.DropIndexOp):
        table.ops.remove(op)
        is_moved = any(isinstance(it, MOVES_COLUMNS) for it in table.ops)
        for new in table.ops:
            same = isinstance(new, ops.CreateIndexOp) and str(new.index_name) == str(op.index_name)
            if same and not is_moved:
                table.ops.remove(new)
                step = [*_replace(new)], [*_replace(op.reverse())]  # type: ignore[arg-type]
                after.append((f"index {op.index_name}", *step))
                return
        before.append((f"drop index {op.index_name}", [_drop(op)], [*_create(op.reverse())]))
    elif isinstance(op, ops.CreateIndexOp) and op in table.ops:
        table.ops.remove(op)
        after.append((f"index {op.index_name}", [*_create(op)], [_drop(op)]))
    elif isinstance(op, ops.CreateUniqueConstraintOp):
        table.ops.remove(op)
        after += _unique(op)
    elif isinstance(op, ops.CreateCheckConstraintOp):
        op.kw["postgresql_not_valid"] = True
        after.append(_validate(op.constraint_name, table_of(op)))
    elif isinstance(op, ops.AlterColumnOp):
        if op.modify_nullable is False:
            after += _not_null(op)
            op.modify_nullable = None
        if not (op.has_changes() or op.modify_name):
            table.ops.remove(op)
        elif op.modify_type is not None and needs_cast(op.modify_type, op.existing_type, DIALECT):
            cast = CastColumnOp(op.table_name, op.column_name)
            vars(cast).update(vars(op))
            table.ops[table.ops.index(op)] = cast


def _to_scripts(
    script: ops.MigrationScript, steps: list[Step], *, keeps_name: bool
) -> Iterator[ops.MigrationScript]:
    """Yield the revision with the first of these steps, and a revision for each of the others."""
    message = script.message or ""
    for number, (name, forward, back) in enumerate(steps):
        if number:
            previous = script
            following = _next_id(str(previous.rev_id)), ops.UpgradeOps([]), ops.DowngradeOps([])
            script = ops.MigrationScript(*following, head=previous.rev_id)
            script.version_path = previous.version_path
        script.message = f"{message} {name}".strip() if number or not keeps_name else message
        script.upgrade_ops, script.downgrade_ops = ops.UpgradeOps(forward), ops.DowngradeOps(back)
        yield script


def _next_id(previous: str) -> str:
    """Return the next number, as in 0002, or else an id that sorts after the one before."""
    if previous.isdecimal():
        return str(int(previous) + 1).zfill(len(previous))
    for _ in range(100):
        if (found := rev_id()) > previous and len(found) == len(previous):
            return found
    return f"{previous}b" if len(previous) < MAX_ID else rev_id()


def _create(op: ops.CreateIndexOp) -> Iterator[ops.MigrateOperation]:
    """Create the index, after removing what an interrupted attempt has left."""
    yield _drop(op)
    op.kw["postgresql_concurrently"] = True
    yield AutocommitOp(op)


def _drop(op: Any) -> ops.MigrateOperation:  # noqa: ANN401
    options: dict[str, Any] = {"if_exists": True, "postgresql_concurrently": True}
    return AutocommitOp(ops.DropIndexOp(op.index_name, op.table_name, schema=op.schema, **options))


def _replace(op: ops.CreateIndexOp) -> Iterator[ops.MigrateOperation]:
    """Create the index beside the old one, which serves queries until the new one is valid."""
    beside = op.reverse().reverse()
    beside.index_name = conv(f"{op.index_name}_new")
    yield AllowOp("renaming-object", "queries don't use index names")
    yield from _create(beside)
    yield _drop(op)
    names = f"{_format(beside.index_name)} RENAME TO {_format(op.index_name)}"
    schema = f"{PREPARER.quote(op.schema)}." if op.schema else ""
    yield ops.ExecuteSQLOp(f"ALTER INDEX {schema}{names}")


def _unique(op: Any) -> Iterator[Step]:  # noqa: ANN401
    """Create the index while the table is used; turning it into a constraint takes no time."""
    columns = [str(column) for column in op.columns]
    name = op.constraint_name or conv(f"{op.table_name}_{'_'.join(columns)}_key")
    options = {key: value for key, value in op.kw.items() if key.startswith("postgresql_")}
    options |= {"schema": op.schema, "unique": True}

    def index() -> ops.CreateIndexOp:
        return ops.CreateIndexOp(name, op.table_name, columns, **options)

    yield f"index {name}", [*_create(index())], [_drop(index())]
    attach = f"ADD CONSTRAINT {_format(name)} UNIQUE USING INDEX {_format(name)}"
    attach += " DEFERRABLE" if op.kw.get("deferrable") else ""
    attach += f" INITIALLY {op.kw['initially']}" if op.kw.get("initially") else ""
    drop = ops.DropConstraintOp(name, op.table_name, type_="unique", schema=op.schema)
    # Dropping the constraint drops its index: the revision before has nothing left to drop.
    yield f"unique {name}", [_alter(table_of(op), attach)], [drop, index()]


def _not_null(op: ops.AlterColumnOp) -> Iterator[Step]:
    """Validate a CHECK first, without which SET NOT NULL reads the whole table under a lock.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
    """
    column = op.modify_name or op.column_name
    name = conv(f"ck_{op.table_name}_{column}_not_null")
    check = f"CHECK ({PREPARER.quote(column)} IS NOT NULL) NOT VALID"
    add = _alter(table_of(op), f"ADD CONSTRAINT {_format(name)} {check}")
    drop = _alter(table_of(op), f"DROP CONSTRAINT {_format(name)}")
    allowed = [
        AllowOp("adding-not-nullable-field", f"the check {_format(name)} has been validated"),
        AllowOp("ban-drop-constraint", "NOT NULL takes the place of the check"),
    ]
    require = ops.AlterColumnOp(op.table_name, column, schema=op.schema, modify_nullable=False)
    require.existing_type = op.existing_type if op.modify_type is None else op.modify_type
    require.existing_nullable = True
    yield f"check {column}", [add], [drop]
    yield f"validate {column}", _validate(name, table_of(op))[1], []
    yield f"not null {column}", [*allowed, require, drop], [add, require.reverse()]


def _validate(name: object, table: Table) -> Step:
    return f"validate {name}", [_alter(table, f"VALIDATE CONSTRAINT {_format(name)}")], []


def _alter(table: Table, change: str) -> ops.ExecuteSQLOp:
    return ops.ExecuteSQLOp(f"ALTER TABLE {quote(*table)} {change}")


def _format(name: object) -> str:
    """Return the name as PostgreSQL takes it: quoted where that is needed, and not too long."""
    index = Index(name if isinstance(name, conv) else str(name), Column("x"))
    return str(PREPARER.format_index(index))
