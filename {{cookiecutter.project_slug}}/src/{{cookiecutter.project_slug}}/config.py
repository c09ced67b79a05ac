"""Every setting of the application, read from the environment and checked at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from click import ClickException
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

    # What the pages call this application.
    PROJECT_NAME: str = {{cookiecutter.project_name | python}}

    # https://flask.palletsprojects.com/en/stable/config/#SESSION_COOKIE_SAMESITE
    SESSION_COOKIE_SAMESITE: str = "Lax"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `SECRET_KEY` and `DATABASE_URL`.

        Raises:
            ConfigurationError: one of them is missing, or can't be used.
        """
        missing = [name for name in ("SECRET_KEY", "DATABASE_URL") if not environment.get(name)]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} not set. Set them in the environment, or in the file"
                f" {PROJECT_ROOT / '.env'}; .env.example there says how."
            )
        return cls(
            SECRET_KEY=environment["SECRET_KEY"],
            SQLALCHEMY_DATABASE_URI=_database_url(environment["DATABASE_URL"]),
        )


def _database_url(value: str) -> URL:
    """Read an address. The messages leave it out, for it may hold a password."""
    if value.startswith("postgres://"):  # as some hosting services write it
        value = value.replace("postgres://", "postgresql+psycopg://", 1)
    try:
        url = make_url(value)
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError:
        raise ConfigurationError(
            f"DATABASE_URL names {url.drivername}, which SQLAlchemy doesn't know. Correct the name, or"
            " add the package that brings it, with: uv add …"
        ) from None
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "DATABASE_URL can't be read as a database URL, such as sqlite:///app.db or"
            " postgresql+psycopg://user:password@host/name. Characters like @ : / # in a password"
            " are written as %40 %3A %2F %23."
        ) from None
    except ImportError as error:
        raise ConfigurationError(
            f"DATABASE_URL names {url.drivername}, whose driver can't be imported: {error}. Install"
            " what it needs, or name another driver, as in postgresql+psycopg:// or mysql+pymysql://."
        ) from None
    if dialect.is_async:
        raise ConfigurationError(
            f"DATABASE_URL names {url.drivername}, an asynchronous driver, which Flask-SQLAlchemy can't"
            " use. Name a synchronous one, as in postgresql+psycopg:// or mysql+pymysql://."
        )
    return url
