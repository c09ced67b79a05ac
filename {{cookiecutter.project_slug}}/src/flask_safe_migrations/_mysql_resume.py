"""Continues an upgrade that was killed, on MySQL and MariaDB.

They commit at each change of the schema, so a revision of several statements can be done by half:
https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html. While an upgrade runs, a table
says how far it is. Where the table is found later, the statements that were done are skipped.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, event, inspect
from sqlalchemy.exc import DBAPIError

from ._server import get_codes
from ._state import get_state

TABLE = "alembic_unfinished"
CREATE = (
    f"CREATE TABLE {TABLE} (at VARCHAR(255) NOT NULL, command VARCHAR(20) NOT NULL,"
    " statements INTEGER NOT NULL, digest VARCHAR(64) NOT NULL, certain INTEGER NOT NULL)"
)
CHANGES_SCHEMA = re.compile(r"\s*(ALTER|CREATE|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
CHANGES_ROWS = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
# What the server says to a statement whose work is done already. Table, column, index, foreign
# key or check that is there already; table, column or index that is gone.
DONE_ALREADY = set("1005 1022 1050 1051 1054 1060 1061 1068 1091 1146 1826 3822".split())


class Progress:
    """How far the revision is. The transaction is rolled back before the methods for a failure."""

    def __init__(self, connection: Connection, command: str, heads: tuple[str, ...]) -> None:
        self.connection = connection
        self.command = command
        on_mysql = connection.dialect.name in ("mysql", "mariadb")
        self.is_kept = on_mysql and inspect(connection).has_table(TABLE)  # one was interrupted
        self.begin_revision(heads=heads)
        if self.is_kept:
            query = f"SELECT at, command, statements, digest, certain FROM {TABLE}"  # noqa: S608
            row = connection.exec_driver_sql(query).first()
            self.certain = False
            if row and (row.at, row.command) == (self.at, command):
                self.committed = self.skipped, self.expected = row.statements, row.digest
                self.certain = bool(row.certain)
        connection.commit()
        if on_mysql:
            event.listen(connection, "before_cursor_execute", self._before, retval=True)
            event.listen(connection, "after_cursor_execute", self._after)

    def begin_revision(self, heads: Iterable[str], **arguments: object) -> None:
        """Count the statements from one again: the database is at these revisions now."""
        self.at = " ".join(sorted(heads))
        self.number = 0  # of the statement that is being executed
        self.digest = ""  # of all statements up to it
        self.skipped = 0  # statements that an earlier upgrade has done
        self.expected = ""  # their digest
        self.committed = (0, "")  # number and digest of the last statement that can't be undone
        self.certain = True  # that the first statement to come is not done yet

    def finish(self) -> None:
        """Remove the table after an upgrade that has succeeded."""
        if self.is_kept:
            self.connection.exec_driver_sql(f"DROP TABLE {TABLE}")
            self.connection.commit()

    def fail(self) -> None:
        """Record what has been done, for the next upgrade."""
        if self.is_kept:
            self._write(*self.committed, certain=True)
            self.connection.connection.commit()  # SQLAlchemy knows of no transaction

    def was_done_before(self, error: Exception) -> bool:
        """Return whether the upgrade that was killed had done the statement, which is skipped then."""
        uncertain = not self.certain and self.number == self.skipped + 1
        is_done = isinstance(error, DBAPIError) and bool(get_codes(error) & DONE_ALREADY)
        if uncertain and is_done:
            self.skipped, self.expected = self.number, self.digest
            self.retry()
        return uncertain and is_done

    def retry(self) -> None:
        """Prepare to run the same revision again, after the statements that are done."""
        if self.committed[0] > self.skipped:
            self.skipped, self.expected = self.committed
        self.certain = True
        self.number, self.digest = 0, ""

    def _write(self, statements: int, digest: str, *, certain: bool) -> None:
        cursor = self.connection.connection.cursor()
        cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608
        row = self.at, self.command, statements, digest, int(certain)
        cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s)", row)  # noqa: S608

    def _before(self, *event: Any) -> tuple[str, Any]:  # noqa: ANN401
        connection, _, statement, parameters, _, executemany = event
        if not _is_change(statement):
            return statement, parameters
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT" and CHANGES_ROWS.match(statement):
            return statement, parameters  # a loop that commits each batch finds itself what is left
        before = self.digest
        self.number += 1
        self.digest = hashlib.sha256(f"{before}\n{statement}\n{parameters!r}".encode()).hexdigest()
        if self.number <= self.skipped:
            if self.number == self.skipped and self.digest != self.expected:
                raise CommandError(
                    f"The {self.command} from revision {self.at or 'base'} was interrupted after"
                    f" {self.skipped} statements, and its revision was edited since. Undo the edit,"
                    f" and run flask db {self.command} again. Or finish it in SQL, with DROP TABLE"
                    f" {TABLE}, and run: flask db stamp REVISION"
                )
            return "DO 0", [()] if executemany else ()
        if not self.is_kept:
            connection.connection.cursor().execute(CREATE)
            self.is_kept = True
        if self.number > 1:
            # Committed together with what has been done, by the next change of the schema.
            self._write(self.number - 1, before, certain=False)
        return statement, parameters

    def _after(self, *event: Any) -> None:  # noqa: ANN401
        if CHANGES_SCHEMA.match(event[2]) and _is_change(event[2]):
            self.committed = (self.number, self.digest)


def _is_change(statement: str) -> bool:
    changes = CHANGES_SCHEMA.match(statement) or CHANGES_ROWS.match(statement)
    version_table = get_state().version_table.get("version_table", "alembic_version")
    return bool(changes) and not re.search(rf"\b({re.escape(version_table)}|{TABLE})\b", statement)
