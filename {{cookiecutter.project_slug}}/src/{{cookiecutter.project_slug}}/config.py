"""Every setting of the application, read from the environment and checked at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar
{%- if cookiecutter.accounts == "yes" %}
from urllib.parse import urlsplit
{%- endif %}

from click import ClickException
from dotenv import dotenv_values
from flask.cli import NoAppException
from flask.helpers import get_debug_flag
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
INSTANCE_PATH = PROJECT_ROOT / "instance"  # a relative SQLite path starts here

Number = TypeVar("Number", int, float)


class ConfigurationError(NoAppException):
    """Settings that can't be used. The `flask` command shows it as one line, not as a traceback."""

    show = ClickException.show  # and without the usage of the command


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The names are those of Flask and its extensions: `app.config.from_object` takes them."""

    # https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY
    SECRET_KEY: str

    # https://flask-sqlalchemy.readthedocs.io/en/stable/config/
    SQLALCHEMY_DATABASE_URI: URL | str

    # Where the application reaches the database through a pooler, such as PgBouncer: the address of
    # the database itself, for migrations. They need a session of their own.
    MIGRATION_DATABASE_URL: URL | None = None

    # Seconds that a migration waits for another process that migrates, then for a table that is
    # used, and that one of its statements may take; 0 is for ever.
    MIGRATION_WAIT: float = 600
    MIGRATION_LOCK_TIMEOUT: float = 10
    MIGRATION_STATEMENT_TIMEOUT: float = 0

    # What people call this application.
    PROJECT_NAME: str = {{cookiecutter.project_name | python}}
{%- if "pages" in cookiecutter.interface %}

    # https://flask.palletsprojects.com/en/stable/web-security/#security-cookie
    SESSION_COOKIE_SAMESITE: str = "Lax"
    SESSION_COOKIE_SECURE: bool = True  # sent over HTTPS only
{%- endif %}
{%- if cookiecutter.accounts == "yes" %}

    # How messages are sent: smtps://user:password@host:465 or smtp://user:password@host:587.
    # Without it, they are printed to the log in development, and not sent elsewhere.
    MAIL_URL: str = ""
    MAIL_FROM: str = "no-reply@localhost"

    # Where attempts to log in are counted: redis://host:6379/0 for all processes together.
    # https://flask-limiter.readthedocs.io/en/stable/configuration.html
    RATELIMIT_STORAGE_URI: str = "memory://"

    # Encrypts the second factors, which are lost with it. By default, SECRET_KEY does.
    TOTP_SECRET: str = ""

    # Whether anybody may register; use a second factor; use passkeys.
    # https://flask-security.readthedocs.io/en/stable/features.html
    SECURITY_REGISTERABLE: bool = True
    SECURITY_TWO_FACTOR: bool = True
    SECURITY_WEBAUTHN: bool = True
{%- endif %}

    # The host names that requests may be for, such as example.com or .example.com; none is any.
    # A health check that asks an address, such as that of the Dockerfile, needs it here: 127.0.0.1.
    # https://flask.palletsprojects.com/en/stable/config/#TRUSTED_HOSTS
    TRUSTED_HOSTS: list[str] | None = None

    # Bytes that the body of a request may have.
    # https://flask.palletsprojects.com/en/stable/web-security/#resource-use
    MAX_CONTENT_LENGTH: int = 1_000_000

    # How many proxies in front add X-Forwarded-For, -Proto and -Host. Without one, anybody can.
    # https://flask.palletsprojects.com/en/stable/deploying/proxy_fix/
    PROXIES: int = 0

    # https://docs.python.org/3/library/logging.html#logging-levels
    LOG_LEVEL: str = "INFO"

    # Requests that a process works on at a time; gunicorn.conf.py reads it, too.
    WEB_THREADS: int = 4

    # Seconds; a query that takes longer is logged. 0 is never.
    SLOW_QUERY: float = 0.5

    # Seconds that the application waits for the answer to a query; then its request is answered
    # 503. Migrations have limits of their own, above. 0 is for ever.
    QUERY_TIMEOUT: int = 30

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings, by default from the environment and `.env`.

        Raises:
            ConfigurationError: one of them is missing, or can't be used.
        """
        if environment is None:
            environment = whole_environment()
        missing = [name for name in ("SECRET_KEY", "DATABASE_URL") if not environment.get(name)]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} not set. Set them in the environment, or in the file"
                f" {PROJECT_ROOT / '.env'}; .env.example there says how."
            )
        in_development = get_debug_flag()
        if not in_development:
            _refuse_weak(environment["SECRET_KEY"])
        direct = environment.get("MIGRATION_DATABASE_URL")
        return cls(
            SECRET_KEY=environment["SECRET_KEY"],
            SQLALCHEMY_DATABASE_URI=_database_url("DATABASE_URL", environment["DATABASE_URL"]),
            MIGRATION_DATABASE_URL=_database_url("MIGRATION_DATABASE_URL", direct)
            if direct
            else None,
            MIGRATION_WAIT=_number(environment, "MIGRATION_WAIT", cls.MIGRATION_WAIT),
            MIGRATION_LOCK_TIMEOUT=_number(
                environment, "MIGRATION_LOCK_TIMEOUT", cls.MIGRATION_LOCK_TIMEOUT
            ),
            MIGRATION_STATEMENT_TIMEOUT=_number(
                environment, "MIGRATION_STATEMENT_TIMEOUT", cls.MIGRATION_STATEMENT_TIMEOUT
            ),
{%- if "pages" in cookiecutter.interface %}
            SESSION_COOKIE_SECURE=not in_development,
{%- endif %}
{%- if cookiecutter.accounts == "yes" %}
            MAIL_URL=_server_url(
                environment, "MAIL_URL", "smtps://user:password@host:465", "smtps", "smtp"
            ),
            MAIL_FROM=environment.get("MAIL_FROM") or cls.MAIL_FROM,
            RATELIMIT_STORAGE_URI=_server_url(
                environment, "RATELIMIT_STORAGE_URI", "redis://host:6379/0", "redis", "rediss"
            )
            or cls.RATELIMIT_STORAGE_URI,
            TOTP_SECRET=environment.get("TOTP_SECRET", ""),
            SECURITY_REGISTERABLE=_flag(environment, "REGISTRATION"),
            SECURITY_TWO_FACTOR=_flag(environment, "SECOND_FACTOR"),
            SECURITY_WEBAUTHN=_flag(environment, "PASSKEYS"),
{%- endif %}
            TRUSTED_HOSTS=environment.get("TRUSTED_HOSTS", "").replace(",", " ").split() or None,
            MAX_CONTENT_LENGTH=_number(
                environment, "MAX_CONTENT_LENGTH", cls.MAX_CONTENT_LENGTH, limit=1e9
            ),
            PROXIES=_number(environment, "PROXIES", cls.PROXIES),
            LOG_LEVEL=_level(environment.get("LOG_LEVEL") or cls.LOG_LEVEL),
            WEB_THREADS=_number(environment, "WEB_THREADS", cls.WEB_THREADS),
            SLOW_QUERY=_number(environment, "SLOW_QUERY", cls.SLOW_QUERY),
            QUERY_TIMEOUT=_number(environment, "QUERY_TIMEOUT", cls.QUERY_TIMEOUT),
        )


def whole_environment() -> dict[str, str]:
    """The environment, and what is in `.env` only: gunicorn and scripts don't read that file."""
    file = {name: value or "" for name, value in dotenv_values(PROJECT_ROOT / ".env").items()}
    return file | os.environ


def _refuse_weak(secret_key: str) -> None:
    """Whoever guesses the key can sign a session cookie: https://cwe.mitre.org/data/definitions/1391"""
    if len(secret_key) < 32 or len(set(secret_key)) < 10:
        raise ConfigurationError(
            "SECRET_KEY can be guessed. Set it to at least 32 random characters, as printed by:"
            ' python -c "import secrets; print(secrets.token_hex(32))"'
        )


def _number(
    environment: Mapping[str, str], name: str, default: Number, limit: float = 1e6
) -> Number:
    """Read a number of the default's type, from 0 on and below the limit."""
    try:
        number = type(default)(environment.get(name) or default)
    except ValueError:
        number = type(default)(-1)
    if not 0 <= number < limit:
        kind = "whole number" if isinstance(default, int) else "number"
        raise ConfigurationError(
            f"{name} is no {kind} that can be used. Set it to one such as {default:g}."
        )
    return number


def _level(name: str) -> str:
    if name.upper() not in (levels := ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")):
        raise ConfigurationError(f"LOG_LEVEL is none of {', '.join(levels)}.")
    return name.upper()
{%- if cookiecutter.accounts == "yes" %}


def _flag(environment: Mapping[str, str], name: str) -> bool:
    if (value := environment.get(name) or "1") not in ("0", "1"):
        raise ConfigurationError(f"{name} is neither 1 nor 0: set it to 0 to turn it off.")
    return value == "1"


def _server_url(environment: Mapping[str, str], name: str, example: str, *schemes: str) -> str:
    """Check the address of a server. The message leaves it out, for it may hold a password."""
    value = environment.get(name, "")
    try:
        parts = urlsplit(value)
        if not value or (parts.scheme in schemes and parts.hostname and parts.port != 0):
            return value
    except ValueError:
        pass
    raise ConfigurationError(
        f"{name} can't be read. Set it to one such as {example}."
        " Characters like @ : / # in a password are written as %40 %3A %2F %23."
    )
{%- endif %}


def _database_url(name: str, value: str) -> URL:
    """Read an address. The messages leave it out, for it may hold a password."""
    if value.startswith("postgres://"):  # as some hosting services write it
        value = value.replace("postgres://", "postgresql+psycopg://", 1)
    try:
        url = make_url(value)
        dialect = url.get_dialect()
    except NoSuchModuleError:
        raise ConfigurationError(
            f"{name} names {url.drivername}, which SQLAlchemy doesn't know. Correct the name, or"
            " add the package that brings it, with: uv add …"
        ) from None
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"{name} can't be read as a database URL, such as sqlite:///app.db or"
            " postgresql+psycopg://user:password@host/name. Characters like @ : / # in a password"
            " are written as %40 %3A %2F %23."
        ) from None
    if dialect.is_async:
        raise ConfigurationError(
            f"{name} names {url.drivername}, an asynchronous driver, which Flask-SQLAlchemy can't"
            " use. Name a synchronous one, as in postgresql+psycopg:// or mysql+pymysql://."
        )
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise ConfigurationError(
            f"{name} names {url.drivername}, whose driver can't be imported: {error}. Install"
            " its package, as in uv add pymysql for mysql+pymysql:// or uv add 'psycopg[binary]' for"
            " postgresql+psycopg://."
        ) from None
    return url
