"""Orders operations: what others need comes first, and what needs others last.

The reverse of that order is right for the downgrade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import groupby, takewhile
from typing import Any

from alembic.operations import ops
from alembic.util import CommandError
from sqlalchemy import ForeignKeyConstraint

KNOWN = (ops.AlterTableOp, ops.CreateIndexOp, ops.CreateTableOp, ops.DropTableOp, ops.OpContainer)
Table = tuple[str | None, str]  # the schema and the name

# In which order the operations of one table are done.
RANKS: list[Callable[[Any], bool]] = [
    lambda op: is_foreign_key_drop(op),
    lambda op: isinstance(op, ops.DropConstraintOp),
    lambda op: isinstance(op, ops.DropIndexOp),
    lambda op: isinstance(op, ops.AlterColumnOp) and bool(op.modify_name),
    lambda op: isinstance(op, ops.AddColumnOp),
    lambda op: (
        not isinstance(
            op, ops.CreateIndexOp | ops.AddConstraintOp | ops.CreateForeignKeyOp | ops.DropColumnOp
        )
    ),
    lambda op: isinstance(op, ops.CreateIndexOp),
    lambda op: isinstance(op, ops.AddConstraintOp) and not isinstance(op, ops.CreateForeignKeyOp),
    lambda op: isinstance(op, ops.CreateForeignKeyOp),
    lambda op: True,
]


def order(upgrade: ops.OpContainer, *, on_mysql: bool = False) -> None:
    """Order the operations of an upgrade, whose reverse is the downgrade."""
    creates = [op for op in upgrade.ops if isinstance(op, ops.CreateTableOp)]
    drops = [op for op in upgrade.ops if isinstance(op, ops.DropTableOp)]
    renames = [op for op in upgrade.ops if isinstance(op, ops.RenameTableOp)]
    others = [op for op in upgrade.ops if op not in (*creates, *drops, *renames)]
    tables = [op for op in others if isinstance(op, KNOWN)]
    # Those of plugins stay before or after the tables, where they were put.
    first = [*takewhile(lambda op: not isinstance(op, KNOWN), upgrade.ops)]
    rest = [op for op in others if op not in tables and op not in first]

    made = {table_of(op) for op in creates}
    changed = {table_of(op) for op in [*tables, *drops, *renames]} - made
    restored = [op.reverse() for op in drops]
    late = [*_take_foreign_keys(creates, changed)]
    early = [op.reverse() for op in _take_foreign_keys(restored, set())]
    inner: list[ops.MigrateOperation] = []
    for table in tables:
        for op in table.ops if isinstance(table, ops.ModifyTableOps) else [table]:
            if is_foreign_key_drop(op) and _referent(op.reverse()) in changed:
                early.append(op)
            elif isinstance(op, ops.CreateForeignKeyOp) and _referent(op) in changed:
                late.append(op)
            else:
                inner.append(op)
    created = {str(op.index_name) for op in inner if isinstance(op, ops.CreateIndexOp)}

    renamed = {table_of(op) for op in inner if getattr(op, "modify_name", None)}

    def rank(op: ops.MigrateOperation) -> float:
        if on_mysql and isinstance(op, ops.DropIndexOp) and str(op.index_name) not in created:
            if table_of(op) not in renamed:
                return len(RANKS) - 1.5  # a foreign key needs an index until it has another
        return next(number for number, matches in enumerate(RANKS) if matches(op))

    grouped: list[ops.MigrateOperation] = []
    for key in dict.fromkeys(table_of(op) for op in inner):
        grouped += sorted((op for op in inner if table_of(op) == key), key=rank)
    standalone = [op for op in tables if not isinstance(op, ops.ModifyTableOps)]
    upgrade.ops = [
        *first,
        *group(early),
        *renames,
        *_parents_first(creates),
        *group(grouped, standalone),
        *group(late),
        *(op.reverse() for op in reversed(_parents_first(restored))),
        *rest,
    ]


def flatten(operations: ops.OpContainer) -> Iterator[ops.MigrateOperation]:
    """Yield the operations, with those on a table one by one."""
    for op in operations.ops:
        if isinstance(op, ops.OpContainer):
            yield from flatten(op)
        else:
            yield op


def table_of(op: Any) -> Table:  # noqa: ANN401
    """Return the table that the operation changes."""
    if isinstance(op, ops.CreateForeignKeyOp):
        return op.kw.get("source_schema"), op.source_table
    return op.schema, op.table_name


def is_foreign_key_drop(op: ops.MigrateOperation) -> bool:
    """Return whether the operation drops a foreign key."""
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def group(
    operations: Iterable[Any], standalone: Sequence[ops.MigrateOperation] = ()
) -> Iterator[ops.MigrateOperation]:
    """Collect what follows each other on one table; SQLite copies the table once then."""

    def key(op: Any) -> tuple[Table, bool, bool]:  # noqa: ANN401
        # On SQLite, constraints of a renamed column would get lost in the batch that renames it.
        return table_of(op), op in standalone, bool(getattr(op, "modify_name", None))

    for (table, is_alone, _), found in groupby(operations, key):
        if is_alone:
            yield from found
        else:
            yield ops.ModifyTableOps(table[1], list(found), schema=table[0])


def drop_redundant(operations: ops.OpContainer) -> None:
    """Leave out indexes of dropped tables: MySQL refuses to drop one that a foreign key uses."""
    dropped = {table_of(op) for op in operations.ops if isinstance(op, ops.DropTableOp)}

    def is_redundant(op: ops.MigrateOperation) -> bool:
        return isinstance(op, ops.DropIndexOp) and table_of(op) in dropped

    for op in operations.ops:
        if isinstance(op, ops.ModifyTableOps):
            op.ops = [inner for inner in op.ops if not is_redundant(inner)]
    operations.ops = [
        op
        for op in operations.ops
        if not is_redundant(op) and not (isinstance(op, ops.ModifyTableOps) and not op.ops)
    ]


def _referent(op: Any) -> Table:  # noqa: ANN401
    return op.kw.get("referent_schema"), op.referent_table


def _take_foreign_keys(
    creates: Iterable[ops.CreateTableOp], changed: set[Table]
) -> Iterator[ops.CreateForeignKeyOp]:
    """Take out of CREATE TABLE the foreign keys that can't be created yet."""
    creates = list(creates)
    for create in creates:
        for key in _foreign_keys(create):
            if key.use_alter or _referent(_to_op(key)) in changed:
                yield _take(create, key)
    while True:
        try:
            _parents_first(creates)
        except CycleError as error:
            parent, child = error.args[1][:2]
            create = next(op for op in creates if table_of(op) == child)
            for key in _foreign_keys(create):
                if _referent(_to_op(key)) == parent:
                    yield _take(create, key)
        else:
            return


def _take(create: ops.CreateTableOp, key: ForeignKeyConstraint) -> ops.CreateForeignKeyOp:
    if not key.name:
        columns = ", ".join(key.column_keys)
        raise CommandError(
            f"No revision was written.\n\nThe foreign key of {create.table_name} ({columns}) has no"
            " name, and has to be created after the tables.\n  Instead: give it one, as in"
            f' ForeignKey(…, name="fk_{create.table_name}_{key.column_keys[0]}").'
        )
    create.columns = [item for item in create.columns if item is not key]
    return _to_op(key)


def _to_op(key: ForeignKeyConstraint) -> ops.CreateForeignKeyOp:
    op = ops.CreateForeignKeyOp.from_constraint(key)
    op.kw.pop("use_alter", None)
    return op


def _foreign_keys(create: ops.CreateTableOp) -> list[ForeignKeyConstraint]:
    return [item for item in create.columns if isinstance(item, ForeignKeyConstraint)]


def _parents_first(creates: Sequence[ops.CreateTableOp]) -> list[ops.CreateTableOp]:
    by_name = {table_of(op): op for op in creates}
    sorter: TopologicalSorter[Table] = TopologicalSorter()
    for name, op in by_name.items():
        parents = {_referent(_to_op(key)) for key in _foreign_keys(op)}
        # Else in any order.
        sorter.add(name, *(parent for parent in by_name if parent in parents - {name}))
    return [by_name[name] for name in sorter.static_order()]
