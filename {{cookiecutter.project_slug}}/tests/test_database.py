"""Columns and connections are alike on all databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import NewApp
from flask import Flask, g
from sqlalchemy import make_url, text
from sqlalchemy.dialects import sqlite

from {{ cookiecutter.project_slug }}.database import (
    NO_LIMIT,
    UtcDateTime,
    db,
    get_connect_args,
)

DIALECT = sqlite.dialect()
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
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


def get_args(driver: str, **settings: object) -> dict[str, Any]:
    """Return what the driver gets from the application, with these settings."""
    config = {"QUERY_TIMEOUT": 30, "MIGRATION_DATABASE_URL": None} | settings
    return get_connect_args(config, make_url(f"{driver}://host/name"))


@pytest.mark.parametrize("driver", ["sqlite+pysqlite", "postgresql+psycopg", "mysql+pymysql"])
@pytest.mark.parametrize(("seconds", "limit"), [(7, 7), (0, NO_LIMIT)])
def test_each_driver_limits_the_time_of_a_query(driver: str, seconds: int, limit: int) -> None:
    arguments = str(get_args(driver, QUERY_TIMEOUT=seconds))

    assert f"{limit}" in arguments
    assert NO_LIMIT * 1000 < 2**31  # the largest value of PostgreSQL


def test_an_unknown_driver_gets_no_options() -> None:
    assert get_args("oracle+oracledb") == {}


def test_options_in_the_url_take_precedence() -> None:
    url = make_url("mysql+pymysql://host/name?read_timeout=5")
    config = {"QUERY_TIMEOUT": 30, "MIGRATION_DATABASE_URL": None}

    assert "read_timeout" not in get_connect_args(config, url)


@pytest.mark.parametrize("pooler", [False, True])
def test_through_a_pooler_no_statement_is_prepared(pooler: bool) -> None:
    direct = make_url("postgresql+psycopg://host/name") if pooler else None

    arguments = get_args("postgresql+psycopg", MIGRATION_DATABASE_URL=direct)

    assert ("prepare_threshold" in arguments) == pooler
    assert ("options" in arguments) != pooler


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
