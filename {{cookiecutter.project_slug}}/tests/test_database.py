"""Columns mean the same on every database."""

from __future__ import annotations

{% if cookiecutter.__database in ("postgresql", "mysql", "mariadb") -%}
from collections.abc import Callable
{% endif -%}
from datetime import UTC, datetime, timedelta, timezone

import pytest
from conftest import NewApp, TestSettings
from sqlalchemy import {% if cookiecutter.__database in ("postgresql", "mysql", "mariadb") %}URL, make_url, text{% else %}make_url{% endif %}
from sqlalchemy.dialects import sqlite
{%- if cookiecutter.__database in ("postgresql", "mysql", "mariadb") %}
from sqlalchemy.exc import OperationalError
{%- endif %}

from {{ cookiecutter.project_slug }}.database import {% if cookiecutter.__database in ("postgresql", "mysql", "mariadb") %}db, {% endif %}server
from {{ cookiecutter.project_slug }}.database.types import UtcDateTime

DIALECT = sqlite.dialect()
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


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


def test_a_place_is_named_without_user_and_password() -> None:
    assert (
        server.place(make_url("mysql://user:secret@example.com:3307/app"))
        == "app on example.com:3307"
    )
    assert server.place(make_url("postgresql:///app")) == "app on this machine"
    assert server.place(make_url("sqlite:////data/app.db")) == "/data/app.db"


def test_through_a_pooler_no_statement_is_prepared(new_app: NewApp, settings: TestSettings) -> None:
    url = make_url(settings.SQLALCHEMY_DATABASE_URI)

    options = new_app(MIGRATION_DATABASE_URL=url).config["SQLALCHEMY_ENGINE_OPTIONS"]

    on_psycopg = url.get_driver_name() == "psycopg"
    assert ("prepare_threshold" in options["connect_args"]) == on_psycopg


def test_a_server_out_of_reach_is_named(settings: TestSettings) -> None:
    url = make_url(settings.SQLALCHEMY_DATABASE_URI)
    if url.get_backend_name() == "sqlite":
        nowhere, attempts = url.set(database="/"), [server.check]
    else:
        nowhere = url.set(port=9)
        attempts = [server.check, server.create_database, server.drop_database]

    for attempt in attempts:
        with pytest.raises(server.Unavailable) as problem:
            attempt(nowhere)
        assert not problem.value.missing
{%- if cookiecutter.__database in ("postgresql", "mysql", "mariadb") %}


def test_a_database_that_somebody_else_has_just_made_will_do(settings: TestSettings) -> None:
    server.create_database(make_url(settings.SQLALCHEMY_DATABASE_URI))


def test_a_database_that_is_made_in_this_very_moment_is_used(
    new_database: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.drop_database(url := new_database("late"))
    is_there = server._is_there

    monkeypatch.setattr(server, "_is_there", lambda url: True)
    with pytest.raises(server.Unavailable, match="can't be used"):  # it has gone again
        server.check(url)

    def ask_too_late(url: URL) -> bool | None:
        server.create_database(url)
        return is_there(url)

    monkeypatch.setattr(server, "_is_there", ask_too_late)
    server.check(url)


def test_a_query_is_waited_for_as_long_as_the_setting_says(new_app: NewApp) -> None:
    with new_app(QUERY_TIMEOUT=1).app_context():
        with pytest.raises(OperationalError) as error:
            db.session.execute(text("SELECT {{ "pg_sleep" if cookiecutter.__database == "postgresql" else "sleep" }}(9)"))

        assert error.value.connection_invalidated
        assert server.may_pass(error.value)
        db.session.rollback()
        assert db.session.scalar(text("SELECT 1")) == 1
{%- endif %}
