"""SQLite: a connection whose transactions hold schema changes, and a revision that can be undone."""

import sqlite3

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, Transaction
from sqlalchemy.pool import ConnectionPoolEntry


def set_up(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    """Leave transactions to us. The driver begins them late, and keeps schema changes out of them.

    https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
    """
    connection.isolation_level = None


def begin(connection: Connection) -> None:
    """Take the write lock at once.

    SQLite can't turn a transaction that reads into one that writes when another process has
    written meanwhile: https://sqlite.org/lang_transaction.html
    """
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
                f"The revision leaves a row in table {broken[0]} that refers to a missing row in"
                f" {broken[2]}. It was undone. Let it delete or correct such rows first."
            )
        if self._is_open():
            self._connection.exec_driver_sql("RELEASE revision")
        self._begin()

    def _undo(self) -> None:
        if self._is_open():
            self._connection.exec_driver_sql("ROLLBACK TO revision")
        else:
            self._connection.exec_driver_sql("ROLLBACK")
            self._connection.exec_driver_sql("BEGIN")  # which Alembic ends

    def _is_open(self) -> bool:
        """Return whether no autocommit_block has ended the transaction, and the savepoint in it."""
        return self._connection.get_transaction() is self._transaction
