"""Every setting of the application, read from the environment and checked at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
INSTANCE_PATH = PROJECT_ROOT / "instance"  # a relative SQLite path starts here


class ConfigurationError(SystemExit):
    """A setting that can't be used: ends the process with one line instead of a traceback."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The names are those of Flask and its extensions: `app.config.from_object` takes them."""

    # https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY
    SECRET_KEY: str

    # https://flask-sqlalchemy.readthedocs.io/en/stable/config/
    SQLALCHEMY_DATABASE_URI: str

    # What the pages call this application.
    PROJECT_NAME: str = {{cookiecutter.project_name | python}}

    # https://flask.palletsprojects.com/en/stable/config/#SESSION_COOKIE_SAMESITE
    SESSION_COOKIE_SAMESITE: str = "Lax"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read `SECRET_KEY` and `DATABASE_URL`.

        Raises:
            ConfigurationError: one of them is missing, or `DATABASE_URL` is no database URL.
        """
        database_url = _required(environment, "DATABASE_URL")
        try:
            make_url(database_url)
        except (ArgumentError, ValueError):
            # The message leaves the value out, for it may hold a password.
            raise ConfigurationError(
                "DATABASE_URL can't be read as a database URL, such as sqlite:///app.db or"
                " postgresql+psycopg://user:password@host/name. Characters like @ : / # in a"
                " password are written as %40 %3A %2F %23."
            ) from None
        return cls(
            SECRET_KEY=_required(environment, "SECRET_KEY"),
            SQLALCHEMY_DATABASE_URI=database_url,
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(
            f"{name} is not set. Set it in the environment, or in {PROJECT_ROOT / '.env'}"
            " (.env.example shows the names)."
        )
    return value
