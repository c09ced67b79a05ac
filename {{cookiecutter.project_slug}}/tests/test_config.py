"""Settings that can't be used stop the application with one line."""

from __future__ import annotations

import runpy

import pytest
from flask import Flask
from sqlalchemy import make_url

from {{ cookiecutter.project_slug }}.config import ConfigurationError, Settings

KEY = "0123456789abcdef0123456789abcdef"
COMPLETE = {"SECRET_KEY": KEY, "DATABASE_URL": "sqlite:///app.db"}


def test_settings_come_from_the_environment() -> None:
    given = {"TRUSTED_HOSTS": "example.com, .example.org", "PROXIES": "1", "SLOW_QUERY": "0.1"}

    settings = Settings.from_environment(COMPLETE | given)

    assert settings.SECRET_KEY == KEY
    assert make_url(settings.SQLALCHEMY_DATABASE_URI).database == "app.db"
    assert settings.TRUSTED_HOSTS == ["example.com", ".example.org"]
    assert (settings.PROXIES, settings.SLOW_QUERY) == (1, 0.1)
{%- if "pages" in cookiecutter.interface %}
    assert settings.SESSION_COOKIE_SECURE
{%- endif %}


def test_a_server_gets_the_application_or_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    wsgi = "{{ cookiecutter.project_slug }}.wsgi"
    assert isinstance(runpy.run_module(wsgi)["app"], Flask)

    monkeypatch.setenv("PROXIES", "many")
    with pytest.raises(SystemExit):
        runpy.run_module(wsgi)
    (*_, line) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: PROXIES is no whole number")


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)

    assert Settings.from_environment().SECRET_KEY == KEY


def test_the_address_of_a_hosting_service_is_understood() -> None:
    given = COMPLETE | {"DATABASE_URL": "postgres://user:password@host/name"}
    try:
        name = make_url(Settings.from_environment(given).SQLALCHEMY_DATABASE_URI).drivername
    except ConfigurationError as missing_driver:
        name = str(missing_driver)

    assert "postgresql+psycopg" in name


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} not set"):
        Settings.from_environment(COMPLETE | {name: ""})


@pytest.mark.parametrize("key", ["dev", "x" * 64])
def test_a_weak_key_is_refused_outside_development(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_DEBUG", raising=False)
    with pytest.raises(ConfigurationError, match="SECRET_KEY can be guessed"):
        Settings.from_environment(COMPLETE | {"SECRET_KEY": key})

    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert key == Settings.from_environment(COMPLETE | {"SECRET_KEY": key}).SECRET_KEY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXIES", "one"),
        ("PROXIES", "-1"),
        ("MAX_CONTENT_LENGTH", "1 MB"),
        ("MAX_CONTENT_LENGTH", "1000000000"),
        ("MIGRATION_WAIT", "nan"),
        ("MIGRATION_STATEMENT_TIMEOUT", "1e6"),  # as milliseconds, PostgreSQL takes no more
        ("SLOW_QUERY", "inf"),
        ("LOG_LEVEL", "LOUD"),
{%- if cookiecutter.accounts == "yes" %}
        ("MAIL_URL", "mail.example.com"),
        ("MAIL_URL", "http://mail.example.com"),
        ("MAIL_URL", "smtp://mail.example.com:x"),
        ("RATELIMIT_STORAGE_URI", "redis:6379"),
        ("PASSKEYS", "no"),
{%- endif %}
    ],
)
def test_a_value_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment(COMPLETE | {name: value})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql:secret", "can't be read"),
        ("nothing://user:secret@host/name", "which SQLAlchemy doesn't know"),
        ("oracle+cx_oracle://user:secret@host/name", "whose driver can't be imported"),
        ("sqlite+aiosqlite:///secret.db", "an asynchronous driver"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_refused_without_showing_it(
    url: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as refusal:
        Settings.from_environment(COMPLETE | {"DATABASE_URL": url})

    assert "secret" not in str(refusal.value)
