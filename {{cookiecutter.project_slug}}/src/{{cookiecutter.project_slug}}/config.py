"""Every setting of the application, read from the environment and checked at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from click import ClickException
from dotenv import dotenv_values
from flask.cli import NoAppException
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
INSTANCE_PATH = PROJECT_ROOT / "instance"  # a relative SQLite path starts here


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

    # What the pages call this application.
    PROJECT_NAME: str = {{cookiecutter.project_name | python}}

    # https://flask.palletsprojects.com/en/stable/config/#SESSION_COOKIE_SAMESITE
    SESSION_COOKIE_SAMESITE: str = "Lax"

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
        direct = environment.get("MIGRATION_DATABASE_URL")
        return cls(
            SECRET_KEY=environment["SECRET_KEY"],
            SQLALCHEMY_DATABASE_URI=_database_url("DATABASE_URL", environment["DATABASE_URL"]),
            MIGRATION_DATABASE_URL=_database_url("MIGRATION_DATABASE_URL", direct)
            if direct
            else None,
            MIGRATION_WAIT=_seconds(environment, "MIGRATION_WAIT", cls.MIGRATION_WAIT),
            MIGRATION_LOCK_TIMEOUT=_seconds(
                environment, "MIGRATION_LOCK_TIMEOUT", cls.MIGRATION_LOCK_TIMEOUT
            ),
            MIGRATION_STATEMENT_TIMEOUT=_seconds(
                environment, "MIGRATION_STATEMENT_TIMEOUT", cls.MIGRATION_STATEMENT_TIMEOUT
            ),
        )


def whole_environment() -> dict[str, str]:
    """The environment, and what is in `.env` only: gunicorn and scripts don't read that file."""
    file = {name: value or "" for name, value in dotenv_values(PROJECT_ROOT / ".env").items()}
    return file | os.environ


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        seconds = float(environment.get(name) or default)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e6:
        message = f"{name} is no number of seconds. Set it to one such as {default:g}."
        raise ConfigurationError(message)
    return seconds


def _database_url(name: str, value: str) -> URL:
    """Read an address. The messages leave it out, for it may hold a password."""
    if value.startswith("postgres://"):  # as some hosting services write it
        value = value.replace("postgres://", "postgresql+psycopg://", 1)
    try:
        url = make_url(value)
        dialect = url.get_dialect()
        dialect.import_dbapi()
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
    except ImportError as error:
        raise ConfigurationError(
            f"{name} names {url.drivername}, whose driver can't be imported: {error}. Install"
            " what it needs, or name another driver, as in postgresql+psycopg:// or mysql+pymysql://."
        ) from None
    if dialect.is_async:
        raise ConfigurationError(
            f"{name} names {url.drivername}, an asynchronous driver, which Flask-SQLAlchemy can't"
            " use. Name a synchronous one, as in postgresql+psycopg:// or mysql+pymysql://."
        )
    return url
