"""Columns and connections are alike on all databases."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from conftest import NewApp
from flask import Flask, g
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    create_engine,
    func,
    literal,
    make_url,
    null,
    select,
    text,
)
from sqlalchemy.dialects import sqlite

from {{ cookiecutter.project_slug }}.database import (
    NO_LIMIT,
    UtcDateTime,
    db,
    get_connect_args,
)

DIALECT = sqlite.dialect()
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
READ_AND_CLOSE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM letter").fetchall()
connection.close()
"""
WRITE = text("UPDATE alembic_version SET version_num = version_num")


def test_a_moment_is_stored_in_utc() -> None:
    in_paris = NOON.astimezone(timezone(timedelta(hours=1)))

    stored = UtcDateTime().process_bind_param(in_paris, DIALECT)

    assert stored is not None
    assert (stored.hour, stored.tzinfo) == (12, UTC)


@pytest.mark.parametrize("stored", [NOON, NOON.replace(tzinfo=None)])
def test_a_moment_comes_back_in_utc_even_from_a_database_without_time_zones(
    stored: datetime,
) -> None:
    assert UtcDateTime().process_result_value(stored, DIALECT) == NOON


def test_a_datetime_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), DIALECT)


def test_nothing_stays_nothing() -> None:
    assert UtcDateTime().process_bind_param(None, DIALECT) is None
    assert UtcDateTime().process_result_value(None, DIALECT) is None


@pytest.mark.parametrize("driver", ["sqlite+pysqlite", "postgresql+psycopg", "mysql+pymysql"])
@pytest.mark.parametrize("seconds", [7, NO_LIMIT])
def test_each_driver_limits_the_time_of_a_query(driver: str, seconds: int) -> None:
    assert f"{seconds}" in str(get_connect_args(make_url(f"{driver}://host/name"), seconds))
    assert NO_LIMIT * 1000 < 2**31  # the largest value of PostgreSQL


def test_an_unknown_driver_gets_no_options() -> None:
    assert get_connect_args(make_url("oracle+oracledb://host/name"), 30) == {}


def test_options_in_the_url_take_precedence() -> None:
    url = make_url("mysql+pymysql://host/name?read_timeout=5")

    assert "read_timeout" not in get_connect_args(url, 30)


@pytest.mark.parametrize("pooler", [False, True])
def test_through_a_pooler_no_statement_is_prepared(pooler: bool) -> None:
    arguments = get_connect_args(make_url("postgresql+psycopg://host/name"), 30, pooler)

    assert ("prepare_threshold" in arguments) == pooler
    assert ("options" in arguments) != pooler


class FakeConnection:
    """A connection to a database that these tests may not have."""

    def __init__(self, name: str, charset: str = "") -> None:
        self.dialect = SimpleNamespace(name=name)
        self.charset = charset
        self.statements: list[str] = []

    def exec_driver_sql(self, statement: str) -> SimpleNamespace:
        self.statements.append(statement)
        return SimpleNamespace(scalar=lambda: self.charset)


@pytest.mark.parametrize(
    ("migration_url", "timeout", "limits"),
    [
        ("postgresql+pg8000://server/name", 30, ["SET LOCAL statement_timeout = 30000"]),
        ("postgresql+pg8000://server/name", 0, [f"SET LOCAL statement_timeout = {NO_LIMIT}000"]),
        (None, 30, []),
    ],
)
def test_behind_a_pooler_each_transaction_limits_its_queries(
    new_app: NewApp, migration_url: str | None, timeout: int, limits: list[str]
) -> None:
    connection = FakeConnection("postgresql")
    app = new_app(
        SQLALCHEMY_DATABASE_URI="postgresql+pg8000://host/name",
        SQLALCHEMY_ENGINE_OPTIONS={"module": SimpleNamespace(__version__="1.31", paramstyle="")},
        MIGRATION_DATABASE_URL=migration_url,
        QUERY_TIMEOUT=timeout,
    )

    with app.app_context():
        db.engine.dispatch.begin(cast(Connection, connection))

    assert connection.statements == limits


@pytest.mark.parametrize(
    ("name", "default", "set_to"),
    [("mysql", "latin1", "utf8mb4"), ("mariadb", "utf8mb4", None), ("sqlite", "", None)],
)
def test_tables_take_all_characters_on_mysql(name: str, default: str, set_to: str | None) -> None:
    table = Table("letter", MetaData(), Column("id", Integer))

    table.dispatch.before_create(table, FakeConnection(name, default))

    assert table.dialect_kwargs.get(f"{name}_charset") == set_to


def test_a_search_ignores_the_case_of_all_letters(app: Flask) -> None:
    with app.app_context():
        found = db.session.scalar(select(literal("ÉTÉ привет").icontains("été ПРИВЕТ")))
        nothing = db.session.scalar(select(func.lower(null())))

    assert found
    assert nothing is None


def test_only_the_owner_can_read_the_file_of_an_sqlite_database(tmp_path: Path) -> None:
    before = os.umask(0o022)
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE letter (id INTEGER)")
    engine.dispose()
    os.umask(before)

    assert (tmp_path / "app.db").stat().st_mode & 0o777 == 0o600


def test_a_new_connection_to_an_sqlite_file_keeps_the_locks_of_others(tmp_path: Path) -> None:
    """Without them, another process deletes the write-ahead log, and what is in it, on closing."""
    path = tmp_path / "app.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("CREATE TABLE letter (id INTEGER)")
        engine.connect().close()
        subprocess.run([sys.executable, "-c", READ_AND_CLOSE, path], check=True)  # noqa: S603
        log_is_there = path.with_name("app.db-wal").exists()
    engine.dispose()

    assert log_is_there


def test_a_query_that_waits_too_long_is_given_up(migrated_app: Flask, new_app: NewApp) -> None:
    waiting = new_app(QUERY_TIMEOUT=1)

    @waiting.get("/writes")
    def write() -> str:
        g.writes = True
        db.session.execute(WRITE)
        return "written"

    with migrated_app.app_context():
        engine = db.engine
    with engine.connect() as other:
        other.execute(WRITE)  # it keeps a lock
        assert waiting.test_client().get("/writes").status_code == 503
        other.rollback()
    assert waiting.test_client().get("/writes").text == "written"


def test_a_database_in_memory_can_be_used(new_app: NewApp) -> None:
    with new_app(SQLALCHEMY_DATABASE_URI="sqlite://").app_context():
        assert db.session.scalar(text("PRAGMA foreign_keys")) == 1
