"""Read all settings from the environment, and check them at the start."""

from __future__ import annotations

import logging
{%- if cookiecutter.accounts == "yes" %}
from collections.abc import Callable
{%- endif %}
from pathlib import Path
from typing import cast
{%- if cookiecutter.accounts == "yes" %}
from urllib.parse import urlsplit
{%- endif %}

from click import ClickException
from environs import Env, EnvValidationError, ValidationError
from environs import validate as checks
from flask.cli import NoAppException
from flask.helpers import get_debug_flag
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

# A checkout has its .env, its migrations and its instance folder beside pyproject.toml. A wheel has
# the migrations in the package, and takes the others from the folder in which it is started.
CHECKOUT = Path(__file__).resolve().parents[2]
IN_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()
PROJECT_ROOT = CHECKOUT if IN_CHECKOUT else Path.cwd()
ENV_FILE = PROJECT_ROOT / ".env"
MIGRATIONS = (CHECKOUT if IN_CHECKOUT else Path(__file__).parent) / "migrations"
SECONDS = checks.Range(0, 1_000_000, max_inclusive=False)  # 0 is no limit


class ConfigurationError(NoAppException):
    """Settings that can't be used. The `flask` command shows it without a traceback."""

    show = ClickException.show  # and without the usage of the command


def load_config() -> dict[str, object]:
    """Return the settings: from the environment or, where it doesn't set them, from `.env`.

    Raises:
        ConfigurationError: Settings are missing or can't be used. The message lists all of them.
    """
    env = Env(eager=False)
    env.add_parser("database_url", _parse_database_url)
    env.add_parser("hosts", _parse_hosts)
    try:
        env.read_env(ENV_FILE, recurse=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE} can't be read as UTF-8: {error}") from None
    config = {
        # What people call this application.
        "PROJECT_NAME": env.str("PROJECT_NAME", {{cookiecutter.project_name | python}}),
        # https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY
        "SECRET_KEY": env.str("SECRET_KEY", validate=_check_secret_key),
        # https://docs.sqlalchemy.org/en/21/core/engines.html#database-urls
        "SQLALCHEMY_DATABASE_URI": env.database_url("DATABASE_URL"),
        # The database itself, where DATABASE_URL is a pooler such as PgBouncer.
        "MIGRATION_DATABASE_URL": env.database_url("MIGRATION_DATABASE_URL", "", required=False),
        # src/flask_safe_migrations/README.md
        "MIGRATION_WAIT": env.float("MIGRATION_WAIT", 600, validate=SECONDS),
        "MIGRATION_LOCK_TIMEOUT": env.float("MIGRATION_LOCK_TIMEOUT", 10, validate=SECONDS),
        "MIGRATION_STATEMENT_TIMEOUT": env.float(
            "MIGRATION_STATEMENT_TIMEOUT", 0, validate=SECONDS
        ),
        # Seconds that a query may take; then its request is answered 503. See database.py.
        "QUERY_TIMEOUT": env.int("QUERY_TIMEOUT", 30, validate=SECONDS),
        # Seconds; a query that takes longer is logged.
        "SLOW_QUERY": env.float("SLOW_QUERY", 0.5, validate=SECONDS),
        # https://docs.python.org/3/library/logging.html#logging-levels
        "LOG_LEVEL": env.log_level("LOG_LEVEL", logging.INFO),
        # https://gunicorn.org/reference/settings/#threads
        "WEB_THREADS": env.int("WEB_THREADS", 4, validate=checks.Range(1, 1000)),
        # https://flask.palletsprojects.com/en/stable/config/#TRUSTED_HOSTS
        "TRUSTED_HOSTS": env.hosts("TRUSTED_HOSTS", ""),
        # https://flask.palletsprojects.com/en/stable/deploying/proxy_fix/
        "PROXIES": env.int("PROXIES", 0, validate=checks.Range(0, 100)),
        # https://flask.palletsprojects.com/en/stable/web-security/#resource-use
        "MAX_CONTENT_LENGTH": env.int(
            "MAX_CONTENT_LENGTH", 1_000_000, validate=checks.Range(0, 999_999_999)
        ),
{%- if "pages" in cookiecutter.interface %}
        # https://flask.palletsprojects.com/en/stable/web-security/#security-cookie
        "SESSION_COOKIE_SECURE": env.bool("SESSION_COOKIE_SECURE", not get_debug_flag()),
        "SESSION_COOKIE_SAMESITE": env.str(
            "SESSION_COOKIE_SAMESITE", "Lax", validate=checks.OneOf(("Lax", "Strict", "None"))
        ),
{%- endif %}
{%- if cookiecutter.accounts == "yes" %}
        # The server that sends messages, and the address that they come from.
        "MAIL_URL": env.str("MAIL_URL", "", validate=_check_url("smtps", "smtp")),
        "MAIL_FROM": env.str("MAIL_FROM", "") or "no-reply@localhost",
        # https://flask-limiter.readthedocs.io/en/stable/configuration.html#RATELIMIT_STORAGE_URI
        "RATELIMIT_STORAGE_URI": env.str(
            "RATELIMIT_STORAGE_URI", "", validate=_check_url("redis", "rediss")
        )
        or "memory://",
        # Encrypts the second factors, which are lost with it. By default, SECRET_KEY does.
        "TOTP_SECRET": env.str("TOTP_SECRET", ""),
        # https://flask-security.readthedocs.io/en/stable/configuration.html
        "SECURITY_REGISTERABLE": env.bool("SECURITY_REGISTERABLE", True),
        "SECURITY_TWO_FACTOR": env.bool("SECURITY_TWO_FACTOR", True),
        "SECURITY_WEBAUTHN": env.bool("SECURITY_WEBAUTHN", True),
{%- endif %}
    }
    try:
        env.seal()
    except EnvValidationError as error:
        said = cast(dict[str, list[str]], error.error_messages)
        faults = "".join(f"\n  {name}: {' '.join(messages)}" for name, messages in said.items())
        raise ConfigurationError(
            "These settings are missing or can't be used. Set them in the environment, or in"
            f" {ENV_FILE}; .env.example describes them.{faults}"
        ) from None
    return config


def _check_secret_key(key: str) -> None:
    """Refuse a key that can be guessed, with which anyone can sign a session cookie.

    https://cwe.mitre.org/data/definitions/1391
    """
    if not key or not (get_debug_flag() or (len(key) >= 32 and len(set(key)) >= 10)):
        raise ValidationError(
            "It can be guessed. Set it to at least 32 random characters, as printed by:"
            ' python -c "import secrets; print(secrets.token_hex(32))"'
        )


def _parse_hosts(text: str) -> list[str] | None:
    """Split names at commas and spaces; without any, each host is trusted."""
    return text.replace(",", " ").split() or None
{%- if cookiecutter.accounts == "yes" %}


def _check_url(*schemes: str) -> Callable[[str], None]:
    """Return a check for the URL of a server. Its message leaves out the URL and its password."""

    def check(value: str) -> None:
        try:
            parts = urlsplit(value)
            is_valid = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            is_valid = False
        if not is_valid and value not in ("", "memory://"):
            raise ValidationError(
                f"It can't be read. Set it to a URL such as {schemes[0]}://user:password@host:465."
                " In a password, write @ : / # as %40 %3A %2F %23."
            )

    return check
{%- endif %}


def _parse_database_url(value: str, *, required: bool = True) -> URL | None:
    """Return the URL, if its driver can be used. The messages leave out the URL and its password."""
    if not value and not required:
        return None
    if value.startswith("postgres://"):  # as some hosting services write it
        value = value.replace("postgres://", "postgresql+psycopg://", 1)
    try:
        url = make_url(value)
        dialect = url.get_dialect()
        if dialect.is_async:
            raise ValidationError(
                f"{url.drivername} is an asynchronous driver, which Flask-SQLAlchemy can't use. Use"
                " a synchronous one, as in postgresql+psycopg:// or mysql+pymysql://."
            )
        dialect.import_dbapi()
    except NoSuchModuleError:
        raise ValidationError(
            f"SQLAlchemy doesn't know {url.drivername}. Correct the name, or install the package"
            " that provides it."
        ) from None
    except ImportError as error:
        raise ValidationError(
            f"The driver of {url.drivername} can't be imported: {error}. Install its package:"
            " uv add pymysql for mysql+pymysql://, uv add 'psycopg[binary]' for"
            " postgresql+psycopg://."
        ) from None
    except (ArgumentError, ValueError):
        raise ValidationError(
            "It can't be read as a database URL, such as sqlite:///app.db or"
            " postgresql+psycopg://user:password@host/name. In a password, write @ : / # as"
            " %40 %3A %2F %23."
        ) from None
    return url
