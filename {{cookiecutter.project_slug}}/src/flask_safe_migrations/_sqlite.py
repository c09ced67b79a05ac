"""SQLite: transactions hold schema changes, and the copy that Alembic makes of a table loses nothing."""

import re
import sqlite3
from collections import Counter
from typing import Any

from alembic import context
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import ops
from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl
from alembic.util import CommandError, PriorityDispatchResult
from sqlalchemy import CheckConstraint, ColumnClause, Connection, String, Table, UnaryExpression
from sqlalchemy.engine import Transaction
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateTable

QUOTED = re.compile(r"'(''|[^'])*'|\"[^\"]*\"|`[^`]*`|\[[^]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
# A table that SQLAlchemy has not read in full is written with fewer of these.
KEYWORDS = (
    r"\b(AS|AUTOINCREMENT|CASCADE|CHECK|COLLATE|CONFLICT|DEFAULT|DEFERRED|DESC|REFERENCES|RESTRICT"
    r"|ROWID|STRICT|UNIQUE)\b"
)
UNCHANGED = {"nullable": None, "server_default": False, "type_": None, "comment": False}.items()
COPY_SEQUENCE = "INSERT INTO sqlite_sequence SELECT ?, seq FROM sqlite_sequence WHERE name = ?"
# A renaming makes SQLite look for what views and triggers refer to.
CHECK_SCHEMA = [
    "CREATE TABLE _alembic_tmp_1 (id INTEGER)",
    "ALTER TABLE _alembic_tmp_1 RENAME TO _alembic_tmp_2",
    "DROP TABLE _alembic_tmp_2",
]


def set_up(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    """Leave transactions to us. The driver begins them late, and keeps schema changes out of them."""
    connection.isolation_level = None


def begin(connection: Connection) -> None:
    """Take the write lock at once: later, SQLite refuses it if another process has written."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Savepoint:
    """The revision that is being applied, in the transaction of all of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transaction: Transaction | None = None

    def run(self) -> None:
        """Apply the revisions. One that fails leaves nothing behind, and those before it are kept."""
        failure: Exception | None = None
        with context.begin_transaction():
            self._begin()
            try:
                context.run_migrations()
            except Exception as error:
                self._undo()
                failure = error
        if failure:
            raise failure

    def _begin(self) -> None:
        self._connection.exec_driver_sql("SAVEPOINT revision")
        self._transaction = self._connection.get_transaction()

    def renew(self, **arguments: object) -> None:
        """End a revision that has been applied, and begin the next."""
        broken = self._connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken:
            raise CommandError(
                f"The revision was undone: it leaves a row in table {broken[0]} that refers to a"
                f" missing row in {broken[2]}. In the revision, delete or correct such rows first."
            )
        if self._is_open():
            self._connection.exec_driver_sql("RELEASE revision")
        self._begin()

    def _undo(self) -> None:
        # Alembic ends the transaction that is begun here.
        for statement in ["ROLLBACK TO revision"] if self._is_open() else ["ROLLBACK", "BEGIN"]:
            self._connection.exec_driver_sql(statement)

    def _is_open(self) -> bool:
        """Return whether no autocommit_block has ended the transaction, and the savepoint in it."""
        return self._connection.get_transaction() is self._transaction


class SQLite(SQLiteImpl):
    """Acts if `context.configure` gets `sqlite_copies`: the tables that may lose what isn't kept."""

    __dialect__ = "sqlite"
    restore: dict[str, list[str]]  # by the temporary name, the statements that follow the copy

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        renames = {args[1]: keys.get("name") for _, args, keys in batch_op.batch if len(args) > 1}
        is_alone = all(keys.items() >= UNCHANGED for _, _, keys in batch_op.batch)
        if "sqlite_copies" in self.context_opts and is_alone and all(renames.values()):
            # SQLite renames a column in indexes, triggers and views, too. It can't swap two names.
            return bool(set(renames) & set(renames.values()))
        return super().requires_recreate_in_batch(batch_op)

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        new, self.restore = batch_impl.new_table, {}
        if new is None or not self.connection or "sqlite_copies" not in self.context_opts:
            return
        found = _read_schema(self.connection, table.name)
        restore = [sql for kind, _, sql in found if kind == "trigger"]
        if batch_impl.reflected:  # else the revision itself describes the table, with copy_from
            words = _count_words(next(sql for kind, _, sql in found if kind == "table"))
            if words["AUTOINCREMENT"]:
                for one in (table, new):
                    one.dialect_options["sqlite"]["autoincrement"] = True
                names = batch_impl.temp_table_name, table.name  # the last number goes along
                self.connection.exec_driver_sql(COPY_SEQUENCE, names)
            _read_columns(self.connection, table, new)
            # With its foreign keys, it would look for other tables.
            create = CreateTable(table, include_foreign_key_constraints=[])
            written = str(create.compile(dialect=self.dialect))
            for key in table.foreign_key_constraints:
                written += f" REFERENCES {key.ondelete} {key.onupdate} {key.initially}"
            lost = words - _count_words(written)
            if lost and table.name not in self.context_opts["sqlite_copies"]:
                raise CommandError(
                    f"SQLite changes table {table.name} by copying it, and the copy would lose"
                    f" {', '.join(sorted(lost))}. The revision was not applied. Write the change as"
                    " op.execute(…), or pass the table as op.batch_alter_table(…, copy_from=…). Or"
                    f" accept the loss, with: flask db upgrade -x copy={table.name}"
                )
            restore[:0] = _take_indexes(batch_impl, table, found)
            _keep_checks(batch_impl, table, new)
            if set(table.c.keys()) - set(batch_impl.columns):
                restore += CHECK_SCHEMA
        self.restore[batch_impl.temp_table_name] = restore

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:  # noqa: ANN401
        restore = getattr(self, "restore", {}).pop(old_table_name, None)
        if restore is None or not self.connection:
            return super().rename_table(old_table_name, new_table_name, schema)
        # Else SQLite would look for the table in views, where it is missing now.
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")
        super().rename_table(old_table_name, new_table_name, schema)
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=OFF")
        try:
            for statement in restore:
                self.connection.exec_driver_sql(statement)
        except OperationalError as error:
            raise CommandError(
                f"Table {new_table_name} can't be changed: an index, trigger or view that uses it"
                f" would fail: {error.orig}. In the revision, drop that index, trigger or view"
                f" first, and create it again afterwards. The statement was: {error.statement}"
            ) from error
        return None


def _read_schema(connection: Connection, table: str) -> list[tuple[str, ...]]:
    """Return the kind, the name and the statement of all that belongs to a table."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL"
    return [(row.type, row.name, row.sql) for row in connection.exec_driver_sql(query, (table,))]


def _count_words(sql: str) -> Counter[str]:
    return Counter(re.findall(KEYWORDS, QUOTED.sub(" ", sql).upper()))


def _read_columns(connection: Connection, table: Table, new: Table) -> None:
    """Add what SQLAlchemy doesn't read: collations, and ON DELETE of keys without a name."""
    execute, quote = connection.exec_driver_sql, connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(column.name) for column in table.columns)
    execute(f"CREATE INDEX _alembic_tmp_index ON {quote(table.name)} ({columns}) WHERE 0")
    found = execute("PRAGMA index_xinfo(_alembic_tmp_index)").all()
    execute("DROP INDEX _alembic_tmp_index")
    for column, row in zip(table.columns, found, strict=False):
        if row.coll != "BINARY" and isinstance(column.type, String):
            column.type.collation = row.coll
    for row in execute(f"PRAGMA foreign_key_list({quote(table.name)})").all():
        for key in (*table.foreign_key_constraints, *new.foreign_key_constraints):
            target = key.elements[0].target_fullname.rpartition(".")[0]
            if not key.name and (row[2], row[3]) == (target, key.column_keys[0]):
                key.onupdate, key.ondelete = row.on_update, row.on_delete


def _take_indexes(impl: ApplyBatchImpl, table: Table, found: list[tuple[str, ...]]) -> list[str]:
    """Return what creates the indexes again. Alembic would do so without expressions and DESC."""
    columns = impl.columns
    statements = {name: sql for kind, name, sql in found if kind == "index"}
    for name, keys in [(str(it.name), it.columns.keys()) for it in table.indexes]:
        is_renamed = any(key in columns and columns[key].name != key for key in keys)
        if is_renamed or name not in impl.indexes:
            statements.pop(name, None)
    for name in statements:
        impl.indexes.pop(name, None)
    return [*statements.values()]


def _keep_checks(batch_impl: ApplyBatchImpl, table: Table, new: Table) -> None:
    """Keep checks without a name, unless of a dropped column or an enumeration that changes."""
    columns = batch_impl.columns
    gone = set(table.c.keys()) - set(columns)
    is_given = any(isinstance(it, CheckConstraint) for it in batch_impl.table_args)
    for constraint in table.constraints if not is_given else ():
        if isinstance(constraint, CheckConstraint) and not constraint.name:
            sql = str(constraint.sqltext)
            key = (re.findall(r'^"?(\w+)"? IN \(', sql) or [""])[0]
            is_changed = key in columns and columns[key].type is not table.c[key].type
            if not is_changed and not gone & set(re.findall(r"\w+", sql)):
                new.append_constraint(CheckConstraint(sql))
    for key, column in columns.items():
        if column.computed is not None:  # SQLite computes it in the copy, too
            batch_impl.column_transfers[key].pop("expr", None)


@comparators.dispatch_for("table", qualifier="sqlite")
def compare_expression_indexes(context: AutogenContext, *found: Any) -> PriorityDispatchResult:  # noqa: ANN401
    """Create indexes of expressions, which Alembic leaves out because SQLAlchemy can't read them."""
    modify, _, name, _, model = found
    there = [it[1] for it in _read_schema(context.connection, name)] if context.connection else []
    for index in model.indexes if model is not None else ():
        plain = all(isinstance(it, ColumnClause | UnaryExpression) for it in index.expressions)
        included = context.run_object_filters(index, index.name, "index", False, None)
        if not plain and included and index.name not in there:
            modify.ops.append(ops.CreateIndexOp.from_index(index))
    return PriorityDispatchResult.CONTINUE
