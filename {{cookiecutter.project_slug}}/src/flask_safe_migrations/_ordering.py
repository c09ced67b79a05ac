"""Orders operations: what others need comes first. The reverse is right for the downgrade."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import groupby, takewhile
from typing import Any

from alembic.operations import ops
from alembic.util import CommandError
from sqlalchemy import ForeignKeyConstraint

from ._rendering import RenameColumnOp

Table = tuple[str | None, str]  # the schema and the name

# In which order the operations of one table are done, after foreign keys are dropped.
RANKS: list[type | tuple[type, ...]] = [
    ops.DropConstraintOp,
    ops.DropIndexOp,
    RenameColumnOp,
    ops.AddColumnOp,
    ops.AlterColumnOp,
    ops.CreateIndexOp,
    (ops.CreateUniqueConstraintOp, ops.CreateCheckConstraintOp),
    ops.CreateForeignKeyOp,
    ops.DropColumnOp,
]


def order(upgrade: ops.OpContainer, *, on_mysql: bool = False) -> None:
    creates = [op for op in upgrade.ops if isinstance(op, ops.CreateTableOp)]
    drops = [op for op in upgrade.ops if isinstance(op, ops.DropTableOp)]
    renames = [op for op in upgrade.ops if isinstance(op, ops.RenameTableOp)]
    others: list[Any] = [op for op in upgrade.ops if op not in (*creates, *drops, *renames)]
    tables = [op for op in others if _is_of_table(op)]
    # Those of plugins stay before or after the tables, where they were put.
    first = [*takewhile(lambda op: not _is_of_table(op), upgrade.ops)]
    rest = [op for op in others if op not in tables and op not in first]

    changed = {table_of(op) for op in [*tables, *drops, *renames]} - {*map(table_of, creates)}
    restored = [op.reverse() for op in drops]
    late: list[Any] = [*_take_foreign_keys(creates, _new_keys(upgrade))]
    early: list[Any] = [op.reverse() for op in _take_foreign_keys(restored, set())]
    inner = []
    for op in (inner for table in tables for inner in getattr(table, "ops", [table])):
        if is_foreign_key_drop(op) and referent_of(op.reverse()) in changed:
            early.append(op)
        elif isinstance(op, ops.CreateForeignKeyOp) and referent_of(op) in changed:
            late.append(op)
        else:
            inner.append(op)
    recreated: set[Any] = {op.index_name for op in inner if isinstance(op, ops.CreateIndexOp)}
    recreated |= {table_of(op) for op in inner if isinstance(op, RenameColumnOp)}

    def rank(op: Any) -> float:  # noqa: ANN401
        is_replaced = on_mysql and isinstance(op, ops.DropIndexOp)
        if is_replaced and not {op.index_name, table_of(op)} & recreated:
            return len(RANKS) - 1.5  # a foreign key needs it until it has another
        if is_foreign_key_drop(op):
            return -1
        return next((number for number, kind in enumerate(RANKS) if isinstance(op, kind)), 4)

    by_table: list[Any] = []
    for key in dict.fromkeys(map(table_of, inner)):
        by_table += sorted((op for op in inner if table_of(op) == key), key=rank)
    upgrade.ops = [*first, *group(early), *renames, *_parents_first(creates), *group(by_table)]
    upgrade.ops += [*group(late), *reverse(_parents_first(restored)), *rest]


def _is_of_table(op: ops.MigrateOperation) -> bool:
    """Return whether Alembic or we made the operation, and it changes a table."""
    is_known = type(op).__module__ in (ops.__name__, RenameColumnOp.__module__)
    return is_known and hasattr(op, "table_name")


def reverse(operations: list[Any]) -> list[Any]:
    """Return what undoes the operations. The application may have added one that nothing undoes."""
    undone = [op for op in operations if type(op).reverse is not ops.MigrateOperation.reverse]
    return [op.reverse() for op in reversed(undone)]


def flatten(operations: ops.OpContainer) -> Iterator[Any]:
    """Yield the operations, with those on a table one by one."""
    for op in operations.ops:
        yield from op.ops if isinstance(op, ops.ModifyTableOps) else [op]


def table_of(op: Any) -> Table:  # noqa: ANN401
    if isinstance(op, ops.CreateForeignKeyOp):
        return op.kw.get("source_schema"), op.source_table
    return op.schema, op.table_name


def name_of(op: Any) -> str:  # noqa: ANN401
    """Return how its table or column is named in an option and in messages."""
    column = op.column.name if isinstance(op, ops.AddColumnOp) else getattr(op, "column_name", "")
    return ".".join(filter(None, (*table_of(op), column)))


def referent_of(op: ops.CreateForeignKeyOp) -> Table:
    return op.kw.get("referent_schema"), op.referent_table


def is_foreign_key_drop(op: ops.MigrateOperation) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def group(operations: Iterable[Any]) -> Iterator[ops.ModifyTableOps]:
    """Collect what follows each other on one table; SQLite copies the table once then."""

    def key(op: Any) -> tuple[Table, bool]:  # noqa: ANN401
        # On SQLite, constraints of a renamed column would get lost in the batch that renames it.
        return table_of(op), isinstance(op, RenameColumnOp)

    for ((schema, name), _), found in groupby(operations, key):
        yield ops.ModifyTableOps(name, list(found), schema=schema)


def drop_redundant(operations: ops.OpContainer) -> None:
    """Leave out indexes of dropped tables: MySQL refuses to drop one that a foreign key uses."""
    dropped = {table_of(op) for op in operations.ops if isinstance(op, ops.DropTableOp)}

    def is_needed(op: Any) -> bool:  # noqa: ANN401
        return not (isinstance(op, ops.DropIndexOp) and table_of(op) in dropped)

    for table in operations.ops:
        if isinstance(table, ops.ModifyTableOps):
            table.ops = [*filter(is_needed, table.ops)]
    operations.ops = [op for op in operations.ops if is_needed(op) and getattr(op, "ops", True)]


def _new_keys(upgrade: ops.OpContainer) -> set[tuple[Table, frozenset[str]]]:
    """Return the columns that a foreign key can't refer to before tables are changed."""
    keys = set()
    for op in flatten(upgrade):
        if isinstance(op, ops.CreateUniqueConstraintOp) or getattr(op, "unique", False):
            columns = [str(getattr(column, "name", column)) for column in op.columns]
            keys.add((table_of(op), frozenset(columns)))
        elif isinstance(op, ops.AlterColumnOp) and (op.modify_name or op.modify_type is not None):
            keys.add((table_of(op), frozenset([op.modify_name or op.column_name])))
    return keys


def _take_foreign_keys(
    creates: list[ops.CreateTableOp], new: set[tuple[Table, frozenset[str]]]
) -> Iterator[ops.CreateForeignKeyOp]:
    """Take out of CREATE TABLE the foreign keys that can't be created yet."""
    for create in creates:
        for key in _foreign_keys(create):
            op = _to_op(key)
            if key.use_alter or (referent_of(op), frozenset(op.remote_cols)) in new:
                yield _take(create, key)
    while True:
        try:
            _parents_first(creates)
        except CycleError as error:
            parent, child = error.args[1][:2]
            create = next(op for op in creates if table_of(op) == child)
            for key in _foreign_keys(create):
                if referent_of(_to_op(key)) == parent:
                    yield _take(create, key)
        else:
            return


def _take(create: ops.CreateTableOp, key: ForeignKeyConstraint) -> ops.CreateForeignKeyOp:
    if not key.name:
        raise CommandError(
            f"No revision was written.\n\nThe foreign key of {create.table_name}"
            f" ({', '.join(key.column_keys)}) has to be added after the tables, so it needs a name."
            f'\n  Instead: name it, as in ForeignKey(…, name="fk_{create.table_name}").'
        )
    create.columns = [item for item in create.columns if item is not key]
    return _to_op(key)


def _to_op(key: ForeignKeyConstraint) -> ops.CreateForeignKeyOp:
    op = ops.CreateForeignKeyOp.from_constraint(key)
    op.kw.pop("use_alter", None)
    return op


def _foreign_keys(create: ops.CreateTableOp) -> list[ForeignKeyConstraint]:
    return [item for item in create.columns if isinstance(item, ForeignKeyConstraint)]


def _parents_first(creates: list[ops.CreateTableOp]) -> list[ops.CreateTableOp]:
    by_name = {table_of(op): op for op in creates}
    sorter: TopologicalSorter[Table] = TopologicalSorter()
    for name, op in by_name.items():
        parents = {referent_of(_to_op(key)) for key in _foreign_keys(op)} - {name}
        sorter.add(name, *(parent for parent in by_name if parent in parents))  # else in any order
    return [by_name[name] for name in sorter.static_order()]
