"""Fills a column of a large table in small transactions: `flask db backfill`."""

import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError
from flask import current_app
from sqlalchemy.exc import DBAPIError

from . import _environment, _server


def backfill(name: str, value: str, where: str | None, size: int) -> Iterator[tuple[int, int]]:
    """Set a column where it has no value, commit each batch, and yield (rows done, rows in all)."""
    try:
        with _environment.connect() as connection:
            if connection.dialect.name == "sqlite":  # which checks values of foreign keys then
                connection.connection.cursor().execute("PRAGMA foreign_keys=ON")
            yield from _fill(connection, _find_column(connection, name), value, where, size)
    except _server.DatabaseUnavailable as error:
        raise CommandError(str(error)) from error
    except DBAPIError as error:
        again = " Rows that were filled are kept. To continue, run the same command again."
        again *= _server.is_temporary(error)
        raise CommandError(f"{_server.get_reason(error)}.{again}") from error


def _find_column(connection: sa.Connection, name: str) -> sa.Column[Any]:
    path, _, column = name.rpartition(".")
    schema, _, table = path.rpartition(".")
    if not table or not sa.inspect(connection).has_table(table, schema or None):
        raise CommandError(f"There is no table for {name!r}. Write TABLE.COLUMN, as in note.rank.")
    found = sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=connection)
    if column not in found.c:
        raise CommandError(f"No column {column} in {path}. Columns: {', '.join(found.c.keys())}.")
    if not found.primary_key.columns:
        raise CommandError(f"Table {path} needs a primary key for batches. Use an UPDATE instead.")
    return found.c[column]


def _fill(
    connection: sa.Connection, column: sa.Column[Any], value: str, where: str | None, size: int
) -> Iterator[tuple[int, int]]:
    """Go through the primary key once. A batch that meets a locked row is tried again."""
    rows = sa.literal_column(f"({where})") if where else column.is_(None)
    key = tuple(column.table.primary_key.columns)
    batch = sa.select(*key).where(rows).order_by(*key).limit(size)
    fill = sa.update(column.table).values({column: sa.literal_column(f"({value})")}).where(rows)
    count = sa.select(sa.func.count()).select_from(column.table).where(rows)
    total = connection.scalar(count) or 0
    connection.commit()
    done, start, deadline = 0, sa.and_(True), 0.0
    while True:
        deadline = deadline or time.monotonic() + _environment.get_seconds("MIGRATION_LOCK_TIMEOUT")
        try:
            if not (found := connection.execute(batch.where(start)).all()):
                break
            last = tuple(found[-1])
            # MySQL uses its index for the first condition only.
            end = sa.and_(key[0] <= last[0], sa.tuple_(*key) <= last)
            done += connection.execute(fill.where(start, end)).rowcount
            connection.commit()
        except DBAPIError as error:
            connection.rollback()
            if not _server.is_temporary(error) or time.monotonic() > deadline:
                raise
            time.sleep(_environment.LOCK_PAUSE)
            continue
        start, deadline = sa.and_(key[0] >= last[0], sa.tuple_(*key) > last), 0.0
        yield done, total
        time.sleep(float(current_app.config["MIGRATION_BATCH_PAUSE"]))
