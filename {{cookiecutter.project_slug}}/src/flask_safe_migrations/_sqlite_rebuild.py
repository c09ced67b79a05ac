"""Keeps what Alembic loses when it changes a table of SQLite, which it does by copying it.

https://alembic.sqlalchemy.org/en/latest/batch.html
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import ops
from alembic.operations.batch import ApplyBatchImpl
from alembic.util import CommandError, PriorityDispatchResult
from sqlalchemy import CheckConstraint, ColumnClause, Connection, String, Table, UnaryExpression
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateTable

QUOTED = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL
)
# A table that SQLAlchemy has not read in full is written with fewer of these.
KEYWORDS = (
    "AS AUTOINCREMENT CASCADE CHECK COLLATE CONFLICT DEFAULT DEFERRED DESC REFERENCES RESTRICT ROWID"
    " STRICT UNIQUE"
).split()
# A renaming makes SQLite look for what views and triggers refer to.
CHECK_SCHEMA = [
    "CREATE TABLE _alembic_tmp_1 (id INTEGER)",
    "ALTER TABLE _alembic_tmp_1 RENAME TO _alembic_tmp_2",
    "DROP TABLE _alembic_tmp_2",
]


class SafeSQLiteImpl(SQLiteImpl):
    """Takes the place of Alembic's class, and acts if `sqlite_copies` is given to `configure`.

    These are the tables that may lose what can't be kept.
    """

    __dialect__ = "sqlite"

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.statements: dict[str, list[str]] = {}  # to restore what the table of this name had

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        new = batch_impl.new_table
        if new is None or not self.connection or "sqlite_copies" not in self.context_opts:
            return
        found = _read_schema(self.connection, table)
        statements = [sql for kind, _, sql in found if kind == "trigger"]
        if batch_impl.reflected:  # else the revision itself describes the table, with copy_from
            words = _count_words(next(sql for kind, _, sql in found if kind == "table"))
            if words["AUTOINCREMENT"]:
                options = table.dialect_options["sqlite"], new.dialect_options["sqlite"]
                options[0]["autoincrement"] = True
                options[1]["autoincrement"] = batch_impl.table_kwargs.get(
                    "sqlite_autoincrement", True
                )
                statements += _keep_sequence(self.connection, table)
            _set_collations(self.connection, table)
            _set_actions(self.connection, table, new)
            after = _count_words(str(CreateTable(table).compile(dialect=self.dialect)))
            if (lost := words - after) and table.name not in self.context_opts["sqlite_copies"]:
                raise CommandError(
                    f"SQLite changes table {table.name} by copying it, and the copy would lose"
                    f" {', '.join(sorted(lost))}. Nothing was changed. Write the change with"
                    " op.execute(…), or pass the whole table as op.batch_alter_table(…, copy_from=…)."
                    f" Or accept the loss: run the same command with -x copy={table.name}"
                )
            dropped = {index.name for index in table.indexes} - set(batch_impl.indexes)
            statements[:0] = [
                it for kind, name, it in found if kind == "index" and name not in dropped
            ]
            batch_impl.indexes.clear()  # Alembic would create them without expressions and DESC
            _keep_checks(batch_impl, table, new)
            for key, column in batch_impl.columns.items():
                if column.computed is not None:
                    batch_impl.column_transfers[key].pop("expr", None)
            statements += self._rename_later(batch_impl)
            if set(table.columns.keys()) - set(batch_impl.columns):
                statements += CHECK_SCHEMA
        self.statements[batch_impl.temp_table_name] = statements

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:  # noqa: ANN401
        statements = self.statements.pop(old_table_name, None)
        if statements is None or not self.connection:
            super().rename_table(old_table_name, new_table_name, schema)
            return
        # Else SQLite would look for the table in views, where it is missing now.
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")
        super().rename_table(old_table_name, new_table_name, schema)
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=OFF")
        for statement in statements:
            try:
                self.connection.exec_driver_sql(statement)
            except OperationalError as error:
                raise CommandError(
                    f"Table {new_table_name} can't be changed, because an index, trigger or view that"
                    f" uses it would fail: {error.orig}. Let the revision drop it before the change,"
                    f" and create it again afterwards. The statement was: {statement}"
                ) from error

    def _rename_later(self, batch_impl: ApplyBatchImpl) -> list[str]:
        """Leave it to SQLite, which renames a column in indexes, triggers and views, too."""
        columns = batch_impl.columns
        renames = {key: column.name for key, column in columns.items() if column.name != key}
        if set(renames.values()) & set(columns):  # such as two that swap their names
            return []
        quote = self.dialect.identifier_preparer.quote_identifier
        table = quote(batch_impl.table.name)
        for key in renames:
            columns[key].name = key
        return [
            f"ALTER TABLE {table} RENAME COLUMN {quote(old)} TO {quote(new)}"
            for old, new in renames.items()
        ]


def _read_schema(connection: Connection, table: Table) -> list[tuple[str, str, str]]:
    """Return the kind, the name and the statement of all that belongs to a table."""
    found = connection.exec_driver_sql(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL",
        (table.name,),
    )
    return [(row.type, row.name, row.sql) for row in found]


def _count_words(sql: str) -> Counter[str]:
    words = re.findall(r"\w+", QUOTED.sub(" ", sql).upper())
    return Counter(word for word in words if word in KEYWORDS)


def _keep_sequence(connection: Connection, table: Table) -> list[str]:
    """Return what restores the last number that AUTOINCREMENT has given."""
    last = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    sequence = connection.exec_driver_sql(last, (table.name,)).scalar()
    name = "'" + table.name.replace("'", "''") + "'"
    return [
        f"DELETE FROM sqlite_sequence WHERE name = {name}",  # noqa: S608
        f"INSERT INTO sqlite_sequence VALUES ({name}, {sequence or 0})",  # noqa: S608
    ]


def _set_actions(connection: Connection, table: Table, new: Table) -> None:
    """Give foreign keys without a name their ON DELETE, which SQLAlchemy reads of others only."""
    name = connection.dialect.identifier_preparer.quote_identifier(table.name)
    found = connection.exec_driver_sql(f"PRAGMA foreign_key_list({name})").all()
    for constraint in (*table.foreign_key_constraints, *new.foreign_key_constraints):
        target = constraint.elements[0].target_fullname.rpartition(".")[0]
        for _, _, parent, column, _, on_update, on_delete, _ in found:
            if not constraint.name and (parent, column) == (target, constraint.column_keys[0]):
                constraint.onupdate, constraint.ondelete = on_update, on_delete


def _set_collations(connection: Connection, table: Table) -> None:
    """Give the types of the columns their collations, which an index of them names."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    columns = ", ".join(quote(column.name) for column in table.columns)
    index = f"CREATE INDEX _alembic_tmp_index ON {quote(table.name)} ({columns}) WHERE 0"
    connection.exec_driver_sql(index)
    found = connection.exec_driver_sql("PRAGMA index_xinfo(_alembic_tmp_index)").all()
    connection.exec_driver_sql("DROP INDEX _alembic_tmp_index")
    for column, row in zip(table.columns, found, strict=False):
        if row.coll != "BINARY" and isinstance(column.type, String):
            column.type.collation = row.coll


def _keep_checks(batch_impl: ApplyBatchImpl, table: Table, new: Table) -> None:
    """Keep checks without a name, but not of a dropped column or of an enumeration that changes."""
    columns = batch_impl.columns
    changed = {
        key for key in columns if key in table.c and columns[key].type is not table.c[key].type
    }
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and not constraint.name:
            text = str(constraint.sqltext)
            enumeration = re.match(r'"?(\w+)"? IN \(', text)
            gone = set(re.findall(r"\w+", text)) & (set(table.c.keys()) - set(columns))
            if not gone and not (enumeration and enumeration[1] in changed):
                new.append_constraint(CheckConstraint(text))


@comparators.dispatch_for("table", qualifier="sqlite")
def compare_expression_indexes(
    context: AutogenContext,
    modify: ops.ModifyTableOps,
    schema: str | None,
    name: str,
    found: Table | None,
    model: Table | None,
) -> PriorityDispatchResult:
    """Create indexes of expressions, which Alembic leaves out because SQLAlchemy can't read them."""
    there = (
        [it for _, it, _ in _read_schema(context.connection, model)]
        if context.connection and model is not None
        else []
    )
    for index in model.indexes if model is not None else ():
        plain = all(isinstance(it, ColumnClause | UnaryExpression) for it in index.expressions)
        if (
            not plain
            and index.name not in there
            and context.run_object_filters(index, index.name, "index", False, None)
        ):
            modify.ops.append(ops.CreateIndexOp.from_index(index))
    return PriorityDispatchResult.CONTINUE
