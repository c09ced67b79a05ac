"""MySQL and MariaDB: adds a foreign key while others write, and checks existing rows afterwards.

https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-operations.html#online-ddl-foreign-key-operations
"""

from typing import Any

from alembic.ddl.mysql import MariaDBImpl, MySQLImpl
from alembic.util import CommandError
from sqlalchemy import Connection, ForeignKeyConstraint, and_, select

from ._rendering import LiteralPercent


class OnlineKeys(LiteralPercent):
    """Adds foreign keys as the server does without a copy of the table: it checks new rows only."""

    def add_constraint(self, const: Any, **options: Any) -> None:  # noqa: ANN401
        connection = None if self.as_sql else self.connection
        query = "SELECT @@foreign_key_checks"
        is_checked = self.as_sql or (connection and connection.exec_driver_sql(query).scalar())
        if not isinstance(const, ForeignKeyConstraint) or not is_checked:
            super().add_constraint(const, **options)
            return
        self.execute("SET foreign_key_checks = 0")
        try:
            super().add_constraint(const, **options)
        finally:
            self.execute("SET foreign_key_checks = 1")
        if connection:
            _check_rows(connection, const)


def _check_rows(connection: Connection, key: ForeignKeyConstraint) -> None:
    parent = key.referred_table.alias()
    pairs = [(it.parent, parent.c[it.column.name]) for it in key.elements]
    columns = [column for column, _ in pairs]
    join = key.table.outerjoin(parent, and_(*(column == other for column, other in pairs)))
    query = select(*columns).select_from(join).where(pairs[0][1].is_(None)).limit(1)
    if row := connection.execute(query.where(*(it.is_not(None) for it in columns))).first():
        raise CommandError(
            f"A row in table {key.table.name} refers to a missing row in {key.referred_table.name}:"
            f" {', '.join(f'{it.name} = {value}' for it, value in zip(columns, row, strict=True))}."
            f" The foreign key {key.name} was added, but checks new rows only. Delete or correct"
            " such rows, and run: flask db upgrade"
        )


# Alembic takes the last class of a dialect: https://alembic.sqlalchemy.org/en/latest/api/ddl.html
for impl in (MySQLImpl, MariaDBImpl):
    type(impl.__name__, (OnlineKeys, impl), {"__dialect__": impl.__dialect__})
