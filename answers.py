"""Checks each answer the moment it is given: cookiecutter loads this while it asks."""

from __future__ import annotations

import contextlib
import json
import keyword
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from jinja2 import Environment
from jinja2.ext import Extension
from slugify import slugify

# A project of such a name would hide a package that it needs, or one of its own modules.
TAKEN = frozenset(
    (
        "alembic blinker click dotenv execnet flask flask_migrate flask_sqlalchemy flask_wtf"
        " gunicorn itsdangerous jinja2 mako markupsafe mypy pip psycopg psycopg2 pymysql pytest"
        " python_dotenv ruff setuptools sqlalchemy uv werkzeug wheel wtforms xdist"
        " conftest docs instance migrations set_up src test tests venv"
    ).split()
)
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file#naming-conventions
WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in range(10)]
)
LONGEST_SLUG = 50  # characters; a path on Windows has 260 in all
LONGEST_TEXT = 200


class Answers(Extension):
    """Adds the filters below to the templates: named in cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update(check=check, check_all=check_all, python=python, toml=toml)


def check(context: Mapping[str, Any], question: str) -> str:
    """Refuse the answer to a question.

    Returns:
        An empty text, for the private variable that calls this.

    Raises:
        click.ClickException: the answer can't be used; cookiecutter then ends with that one line.
    """
    answer = context[question]
    reason = CHECKS[question](answer)
    if reason:
        raise click.ClickException(f"{question} {shown(answer)} {reason}")
    return ""


def check_all(context: Mapping[str, Any]) -> str:
    """Refuse the answers if one of them can't be used, once the project's folder is made.

    Returns:
        An empty text.

    Raises:
        click.ClickException: as `check` does; the folder is removed.
    """
    try:
        for question in CHECKS:
            check(context, question)
    except click.ClickException:
        with contextlib.suppress(OSError):  # it isn't empty: then it was there before
            Path(context["_output_dir"], context["project_slug"]).rmdir()
        raise
    return ""


def shown(answer: object) -> str:
    """The answer on one line, and not too long."""
    text = ascii(answer) if not str(answer).isprintable() else repr(answer)
    return text if len(text) <= 80 else f"{text[:77]}..."


def of_name(answer: object) -> str:
    if reason := of_text(answer):
        return reason
    slug = slugify(str(answer), separator="_")
    reason = of_slug(slug)
    return f"gives the package name {slug!r}, which {reason}" if reason else ""


def of_slug(answer: object) -> str:
    slug = str(answer)
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", slug, re.ASCII):
        return (
            "is no package name: start with a letter, then take a-z, 0-9 and _,"
            " and end with a letter or digit, as in my_app."
        )
    if len(slug) > LONGEST_SLUG:
        return f"is too long: take at most {LONGEST_SLUG} characters."
    if keyword.iskeyword(slug) or slug in sys.stdlib_module_names:
        return f"belongs to Python itself: take another name, such as {slug}_app."
    if slug in TAKEN or slug in WINDOWS_DEVICES:
        return f"is needed by the project itself: take another name, such as {slug}_app."
    return ""


def of_text(answer: object) -> str:
    text = str(answer)
    if not text.strip():
        return "is empty: type at least one letter."
    if not text.isprintable():
        return "has a line break or an invisible character: type plain text on one line."
    if len(text) > LONGEST_TEXT:
        return f"is too long: take at most {LONGEST_TEXT} characters."
    return ""


def of_email(answer: object) -> str:
    if not re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(\.[\w-]+)+", str(answer), re.ASCII):
        return "is no e-mail address: type one such as you@example.com."
    return of_text(answer)


def of_database_uri(answer: object) -> str:
    if not str(answer).startswith("sqlite:///"):
        return "is not the URI of an SQLite file: type one such as sqlite:///my_app.db."
    return of_text(answer)


def of_yes_or_no(answer: object) -> str:
    return "" if isinstance(answer, bool) else "is neither yes nor no."


CHECKS: dict[str, Callable[[object], str]] = {
    "project_name": of_name,
    "project_slug": of_slug,
    "description": of_text,
    "author_name": of_text,
    "author_email": of_email,
    "database_uri": of_database_uri,
    "set_up_now": of_yes_or_no,
}


def python(text: str) -> str:
    """The text as a literal of Python, quoted as the formatter would."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def toml(text: str) -> str:
    """The text between the quotes of a basic string: https://toml.io/en/v1.0.0#string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
