"""Settings are read from the environment, and checked when the application starts."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from conftest import REQUIRED, SECRET_KEY

from {{ cookiecutter.project_slug }} import config
from {{ cookiecutter.project_slug }}.config import (
    ConfigurationError,
    load_config,
)

EXAMPLE = Path(__file__).parents[1] / ".env.example"
OF_OTHERS = {"FLASK_DEBUG", "DATABASE_PASSWORD"}  # settings of Flask and of compose.yaml


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what is required, and nothing else."""
    for name in find_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("FLASK_DEBUG", raising=False)
    monkeypatch.setattr(config, "ENV_FILE", tmp_path / ".env")
    for name, value in (REQUIRED | {"DATABASE_URL": "sqlite:///app.db"}).items():
        monkeypatch.setenv(name, value)
{%- if cookiecutter.accounts == "no" %}
    monkeypatch.delenv("TRUSTED_HOSTS")
{%- endif %}


def find_names() -> set[str]:
    """Return the names of all settings."""
    return set(re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', Path(config.__file__).read_text("utf-8")))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", "example.com, .example.org")
    monkeypatch.setenv("PROXIES", "1")
    monkeypatch.setenv("SLOW_QUERY", "0.1")

    settings = load_config()

    assert settings.SECRET_KEY == SECRET_KEY
    assert settings.SQLALCHEMY_DATABASE_URI.database == "app.db"
    assert settings.TRUSTED_HOSTS == ["example.com", ".example.org"]
    assert (settings.PROXIES, settings.SLOW_QUERY) == (1, 0.1)
{%- if "pages" in cookiecutter.interface %}
    assert settings.SESSION_COOKIE_SECURE
{%- endif %}


def test_the_example_names_all_settings_and_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^(# )?([A-Z_]+)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    by_default = load_config()

    assert {name for _, name, _ in lines} - OF_OTHERS == find_names()
    for is_comment, name, value in lines:
        if is_comment and name not in OF_OTHERS:
            monkeypatch.setenv(name, value.strip("'\""))
    assert load_config() == by_default


def test_gunicorn_takes_the_settings_or_prints_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gunicorn = str(EXAMPLE.parent / "gunicorn.conf.py")
    assert runpy.run_path(gunicorn)["threads"] == 4

    monkeypatch.setenv("PROXIES", "many")
    with pytest.raises(SystemExit) as end:
        runpy.run_path(gunicorn)
    message, fault = str(end.value.code).splitlines()
    assert message.startswith("Error: These settings are missing or can't be used.")
    assert fault == "  PROXIES: Not a valid integer."


@pytest.mark.parametrize(
    ("address", "bind"),
    [
        ("", "127.0.0.1:8000"),
        ("192.0.2.1", "192.0.2.1:8000"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        (":80", ":80"),
        ("::1", "[::1]:8000"),
        ("[::1]", "[::1]:8000"),
        ("[::1]:80", "[::1]:80"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
    ],
)
def test_gunicorn_listens_on_the_address_and_trusts_no_proxy_itself(
    address: str, bind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIND", address)
    monkeypatch.delenv("PORT", raising=False)

    settings = runpy.run_path(str(EXAMPLE.parent / "gunicorn.conf.py"))

    assert settings["bind"] == bind
    assert settings["forwarded_allow_ips"] == ""


def test_the_environment_takes_precedence_over_the_file() -> None:
    config.ENV_FILE.write_text("SECRET_KEY=other\nLOG_LEVEL=DEBUG")

    settings = load_config()

    assert (settings.SECRET_KEY, settings.LOG_LEVEL) == (SECRET_KEY, 10)


def test_a_file_that_cannot_be_read_is_named() -> None:
    config.ENV_FILE.write_bytes(b"PROJECT_NAME=Caf\xe9")

    with pytest.raises(ConfigurationError, match=r"\.env can't be read"):
        load_config()


def test_the_url_of_a_hosting_service_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:password@host/name")
    try:
        driver = str(load_config().SQLALCHEMY_DATABASE_URI)
    except ConfigurationError as missing_driver:
        driver = str(missing_driver)

    assert "postgresql+psycopg" in driver


def test_all_faults_are_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("PROXIES", "one")

    with pytest.raises(ConfigurationError) as refusal:
        load_config()

    for name in ("SECRET_KEY", "DATABASE_URL", "PROXIES"):
        assert f"  {name}: " in refusal.value.message


@pytest.mark.parametrize("key", ["dev", "x" * 64])
def test_a_weak_key_is_refused_outside_development(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", key)
    with pytest.raises(ConfigurationError, match="SECRET_KEY: It is missing or easy to guess"):
        load_config()

    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert key == load_config().SECRET_KEY


def test_former_keys_are_separated_by_commas_and_not_weak(monkeypatch: pytest.MonkeyPatch) -> None:
    former = "once upon a time there was a secret key"
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f"{former}, {SECRET_KEY}")
    assert [former, SECRET_KEY] == load_config().SECRET_KEY_FALLBACKS

    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f"weak,{SECRET_KEY}")
    with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS: It is missing or easy"):
        load_config()


def test_an_empty_key_is_refused_in_development_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setenv("SECRET_KEY", "")

    with pytest.raises(ConfigurationError, match="SECRET_KEY: It is missing or easy to guess"):
        load_config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXIES", "one"),
        ("PROXIES", "-1"),
        ("MAX_CONTENT_LENGTH", "1 MB"),
        ("MAX_CONTENT_LENGTH", "1000000000"),
        ("MIGRATION_DATABASE_URL", "nothing"),
        ("MIGRATION_WAIT", "nan"),
        ("MIGRATION_STATEMENT_TIMEOUT", "1e6"),  # as milliseconds, PostgreSQL takes no more
        ("SLOW_QUERY", "inf"),
        ("WEB_THREADS", "0"),
        ("LOG_LEVEL", "LOUD"),
{%- if cookiecutter.accounts == "yes" %}
        ("MAIL_URL", "mail.example.com"),
        ("MAIL_URL", "http://mail.example.com"),
        ("MAIL_URL", "smtp://mail.example.com:x"),
        ("RATELIMIT_STORAGE_URI", "redis:6379"),
        ("SECURITY_WEBAUTHN", "maybe"),
{%- endif %}
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"  {name}: "):
        load_config()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql:secret", "can't be read"),
        ("nothing://user:secret@host/name", "The driver of nothing can't be imported"),
        ("oracle+cx_oracle://user:secret@host/name", "can't be imported"),
        ("sqlite+aiosqlite:///secret.db", "an asynchronous driver"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_refused_without_showing_it(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ConfigurationError, match=reason) as refusal:
        load_config()

    assert "secret" not in refusal.value.message
