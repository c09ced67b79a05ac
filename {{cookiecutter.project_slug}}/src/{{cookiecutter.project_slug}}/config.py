"""The settings: read from the environment or `.env`, and checked when the application starts."""

import logging
import re
{%- if cookiecutter.accounts == "yes" %}
from contextlib import suppress
from functools import partial
{%- endif %}
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from click import ClickException
from environs import Env, EnvValidationError, ValidationError, validate
from flask.cli import NoAppException
from flask.helpers import get_debug_flag
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

# A checkout has .env and migrations/ beside pyproject.toml; a wheel has migrations/ in the package.
CHECKOUT = Path(__file__).resolve().parents[2]
IN_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()
PROJECT_ROOT = CHECKOUT if IN_CHECKOUT else Path.cwd()  # with a wheel: the working directory
MIGRATIONS_FOLDER = (CHECKOUT if IN_CHECKOUT else Path(__file__).parent) / "migrations"
ENV_FILE = PROJECT_ROOT / ".env"


class ConfigurationError(NoAppException):
    """A settings error. The flask command shows a NoAppException without a traceback."""

    show = ClickException.show  # NoAppException is a UsageError, which prints the usage, too


def load_config() -> SimpleNamespace:
    """Return the settings, or raise ConfigurationError, which lists everything that is wrong."""
    env = Env(eager=False)  # collects the errors, so that seal() raises all of them together
    env.add_parser("database_url", _parse_database_url)  # parsers get the defaults, too
    env.add_parser("optional_database_url", lambda text: text and _parse_database_url(text))
    env.add_parser("words", lambda text: text.replace(",", " ").split())
    valid_seconds = validate.Range(0, 999_999)  # stays below NO_LIMIT in database.py
    try:
        env.read_env(ENV_FILE, recurse=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{ENV_FILE} can't be read as UTF-8: {error}") from None

    env.str("PROJECT_NAME", {{cookiecutter.project_name | python}})
    # https://flask.palletsprojects.com/en/stable/config/
    env.str("SECRET_KEY", validate=_check_secret_key)
    env.list("SECRET_KEY_FALLBACKS", [], str.strip, validate=lambda s: [*map(_check_secret_key, s)])
{%- if cookiecutter.accounts == "yes" %}
    env.add_parser("hosts", _parse_hosts)
    env.hosts("TRUSTED_HOSTS", "")
{%- else %}
    env.words("TRUSTED_HOSTS", "")  # an empty list allows all hosts
{%- endif %}
    env.int("MAX_CONTENT_LENGTH", 250_000, validate=validate.Range(1, 999_999_999))
{%- if "pages" in cookiecutter.interface %}
    env.bool("SESSION_COOKIE_SECURE", not get_debug_flag())
    env.str("SESSION_COOKIE_SAMESITE", "Lax", validate=validate.OneOf(("Lax", "Strict", "None")))
{%- endif %}
    # https://docs.sqlalchemy.org/en/21/core/engines.html#database-urls
    env.database_url("DATABASE_URL")
    env.int("QUERY_TIMEOUT", 30, validate=valid_seconds)
    env.float("SLOW_QUERY", 0.5, validate=valid_seconds)
    env.optional_database_url("MIGRATION_DATABASE_URL", "")  # set it if DATABASE_URL is a pooler
    env.float("MIGRATION_WAIT", 600, validate=valid_seconds)
    env.float("MIGRATION_LOCK_TIMEOUT", 10, validate=valid_seconds)
    env.float("MIGRATION_STATEMENT_TIMEOUT", 0, validate=valid_seconds)
    env.float("MIGRATION_BATCH_PAUSE", 0.1, validate=valid_seconds)
    env.log_level("LOG_LEVEL", logging.INFO)
    # https://gunicorn.org/reference/settings/#threads
    env.int("WEB_THREADS", 4, validate=validate.Range(1, 1000))
    # https://flask.palletsprojects.com/en/stable/deploying/proxy_fix/
    env.int("PROXIES", 0, validate=validate.Range(0, 100))
{%- if cookiecutter.accounts == "yes" %}
    # https://flask-security.readthedocs.io/en/stable/configuration.html
    smtp = partial(_check_server_url, schemes=("smtps", "smtp"))
    env.str("MAIL_URL", "", validate=smtp)
    env.str("MAIL_FROM", "no-reply@localhost", validate=validate.Length(1))
    redis = partial(_check_server_url, schemes=("redis", "rediss"))
    env.str("RATELIMIT_STORAGE_URI", "memory://", validate=redis)
    env.str("TOTP_SECRET", "")
    env.list("TOTP_SECRET_FALLBACKS", [], str.strip)
    env.bool("SECURITY_REGISTERABLE", Env().bool("REGISTRATION", True))  # its former name
    env.bool("SECURITY_TWO_FACTOR", True)
    env.bool("SECURITY_WEBAUTHN", True)
{%- endif %}
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(dict[str, list[str]], error.error_messages)
        faults = "".join(f"\n  {name}: {' '.join(texts)}" for name, texts in messages.items())
        raise ConfigurationError(
            "These settings are missing or can't be used. Set them in the environment, or in"
            f" {ENV_FILE}; .env.example describes them.{faults}"
        ) from None
    config = env.dump()
    return SimpleNamespace(**config, SQLALCHEMY_DATABASE_URI=config["DATABASE_URL"])


def _check_secret_key(key: str) -> None:
    """Refuse an empty key and, except in debug mode, one that is easy to guess."""
    if not key or (not get_debug_flag() and (len(key) < 32 or len(set(key)) < 10)):
        raise ValidationError(
            "It is missing or easy to guess. Set it to at least 32 random characters, as printed by:"
            ' python -c "import secrets; print(secrets.token_hex(32))"'
        )


def _parse_database_url(value: str) -> URL:
    """Parse a URL and check its driver. The messages leave the URL out: it may hold a password."""
    try:
        url = make_url(re.sub("^postgres:", "postgresql+psycopg:", value))  # as Heroku writes it
        if url.get_dialect().is_async:
            raise ValidationError(
                f"{url.drivername} is an asynchronous driver, which Flask-SQLAlchemy can't use. Use"
                " a synchronous one, as in postgresql+psycopg:// or mysql+pymysql://."
            )
        url.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:  # before its base class, ArgumentError
        raise ValidationError(
            f"The driver of {url.drivername} can't be imported: {error}. Install its package:"
            " pymysql for mysql+pymysql://, psycopg[binary] for postgresql+psycopg://."
        ) from None
    except (ArgumentError, ValueError):  # not the ValidationError above, which is neither
        raise ValidationError(
            "It can't be read. Set it to a URL such as sqlite:///app.db or"
            " postgresql+psycopg://user:password@host/name. In a password, write @ : / # as"
            " %40 %3A %2F %23."
        ) from None
    return url
{%- if cookiecutter.accounts == "yes" %}


def _parse_hosts(text: str) -> list[str]:
    """Require the names of the hosts: the links in messages lead to one of them."""
    hosts = text.replace(",", " ").split()
    if not (hosts or get_debug_flag()):
        raise ValidationError(
            "It is empty. Set it to the host names of this application, such as example.com: the"
            " links in its messages lead there."
        )
    return hosts


def _check_server_url(value: str, schemes: tuple[str, ...]) -> None:
    """Refuse what is no URL of a server. The message leaves it out: it may hold a password."""
    with suppress(ArgumentError, ValueError):
        if value in ("", "memory://") or make_url(value).drivername in schemes:
            return
    raise ValidationError(
        f"It can't be read. Set it to a URL such as {schemes[0]}://user:password@host:port."
        " In a password, write @ : / # as %40 %3A %2F %23."
    )
{%- endif %}
