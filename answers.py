"""Checks each answer the moment it is given: cookiecutter loads this while it asks."""

from __future__ import annotations

import contextlib
import io
import json
import keyword
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import cookiecutter.main
from jinja2 import Environment
from jinja2.ext import Extension
from slugify import slugify

import database_uri

# A project of such a name would hide a package that it needs, or one of its own modules.
TAKEN = frozenset(
    (
        "alembic apispec argon2 blinker click coverage cryptography dotenv email_validator execnet flask"
        " flask_limiter flask_login flask_mailman flask_migrate flask_principal flask_security"
        " flask_smorest flask_sqlalchemy flask_wtf gunicorn itsdangerous jinja2 limits mako markupsafe marshmallow mypy"
        " passlib pip poethepoet prek psycopg psycopg2 pymysql pytest pytest_cov python_dotenv"
        " pythonjsonlogger qrcode redis ruff setuptools sqlalchemy uv webargs webauthn werkzeug"
        " wheel wtforms xdist yaml"
        " conftest docs factories forms instance migrations set_up src test tests venv"
    ).split()
)
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file#naming-conventions
WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in range(10)]
)
FULL_DATABASE_URI = "COOKIECUTTER_FLASK_MIGRATE_DATABASE_URI"  # a variable of the environment
INTERFACES = ("pages+api", "pages", "api")
CI = ("github", "gitlab", "none")
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "none")
CHOICES = {"interface": INTERFACES, "ci": CI, "license": LICENSES}
YES = ("yes", "y", "true", "t", "1", "on")
NO = ("no", "n", "false", "f", "0", "off")
DONE = "done"  # what is recorded of set_up_now: the project is there
LONGEST_SLUG = 50  # characters; a path on Windows has 260 in all
LONGEST_TEXT = 200
ROOM = 5_000_000  # bytes
BEING_WRITTEN = ".being_written"  # an empty file, which the hook removes
QUESTIONS = Path(__file__).with_name("cookiecutter.json")


class Answers(Extension):
    """Adds the filters below to the templates: named in cookiecutter.json."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.own_templates: list[object] | None = None
        sys.excepthook = tell_in_a_line
        # An update by cruft reads two versions of the template in one process, each by its own code.
        for module in (__name__, database_uri.__name__):
            sys.modules.pop(module, None)
        environment.filters.update(
            check=check,
            check_all=check_all,
            driver_packages=driver_packages,
            python=python,
            take_as_text=self.take_as_text,
            toml=toml,
        )

    def take_as_text(self, context: object) -> str:
        """From here on, take as text whatever does not stand in cookiecutter.json: it is an answer.

        Cookiecutter renders the answers that are not typed, those of cruft's updates included.
        """
        if isinstance(sys.stdin, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):  # it has been read from
                # What is typed and no UTF-8 is refused as other characters that can't be seen.
                sys.stdin.reconfigure(errors="surrogateescape")
        questions = json.loads(QUESTIONS.read_text(encoding="utf-8"))
        self.own_templates = list(questions.values())
        return ""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Jinja calls this with each template."""
        if self.own_templates is None or source in self.own_templates:
            return source
        return f"{{{{ {source!a} }}}}"


def check(context: dict[str, Any], question: str) -> str:
    """Refuse the answer to a question.

    Returns:
        The value of the private variable that calls this: for set_up_now the answer, else nothing.

    Raises:
        SystemExit: the answer can't be used; cookiecutter or cruft then ends with that one line.
    """
    answer = context.get(question)  # a mapping, which a user's configuration may hold, is not there
    if question == "database_uri":
        uri = take_database_uri(str(answer))
        context[question] = uri.public
        if not uri.tested:
            print(
                f"Note: {uri.dialect}+{uri.driver} is accepted, but not tested with this template.",
                file=sys.stderr,
            )
        return ""
    reason = CHECKS[question](answer)
    if reason:
        raise SystemExit(f"Error: {question} {shown(answer)} {reason}")
    if question == "accounts":
        context[question] = yes_or_no(answer)
        if context[question] == "yes" and "pages" not in context["interface"]:
            raise SystemExit(
                "Error: accounts 'yes' needs pages to log in on: answer pages or pages+api to interface."
            )
    if question == "set_up_now":
        # When cruft makes the project again, to compare two versions of the template, it hands on
        # the recorded answers, but no private variable. A --replay hands on all of them.
        context[question] = DONE
        return DONE if answer == DONE else yes_or_no(answer)
    if question in CHOICES:
        context[question] = chosen(CHOICES[question], answer)
    return ""


def take_database_uri(answer: str) -> database_uri.DatabaseUri:
    """Hand the address on to the hook in the environment, where cookiecutter doesn't record it.

    Returns:
        The address; without its password it takes the place of the answer.

    Raises:
        SystemExit: the address can't be used.
    """
    try:
        uri = database_uri.parse(answer)
    except database_uri.Refused as refusal:
        raise SystemExit(f"Error: database_uri {refusal}") from None
    os.environ.pop(FULL_DATABASE_URI, None)
    if uri.full != uri.public:
        os.environ[FULL_DATABASE_URI] = uri.full
        keep_from_replay(answer, uri.public)
    return uri


def forget_other_database_uri(context: Mapping[str, Any]) -> None:
    """Forget an address that was handed on, but isn't the one of these answers.

    Raises:
        SystemExit: the address of the answers can't be used.
    """
    handed_on = os.environ.get(FULL_DATABASE_URI)
    answer = take_database_uri(str(context["database_uri"]))
    if handed_on and database_uri.parse(handed_on).public == answer.public:
        os.environ[FULL_DATABASE_URI] = handed_on


def keep_from_replay(secret: str, public: str) -> None:
    """Have cookiecutter's next record for --replay hold the address without its password.

    An answer given as `key=value` or by a user's configuration is recorded a second time, as it
    was given, and out of the reach of a filter.
    """
    write = cookiecutter.main.dump

    def write_without_secret(replay_dir: str, name: str, context: dict[str, Any]) -> None:
        cookiecutter.main.dump = write
        given = context.get("_cookiecutter", {})
        if given.get("database_uri") == secret:
            given["database_uri"] = public
        write(replay_dir, name, context)

    cookiecutter.main.dump = write_without_secret


def driver_packages(answer: str) -> tuple[str, ...]:
    """The requirements of the driver that the address names."""
    return database_uri.parse(answer).packages


def check_all(context: Mapping[str, Any]) -> str:
    """Refuse the answers if one can't be used, or the disk is full, once the project's folder is made.

    Returns:
        An empty text.

    Raises:
        SystemExit: as `check` does; the folder is removed.
    """
    output = Path(context.get("_output_dir", "."))  # cruft doesn't say
    try:
        for question in CHECKS:
            check(dict(context), question)
        forget_other_database_uri(context)
        if shutil.disk_usage(output).free < ROOM:
            raise SystemExit("Error: the disk is full: the files of the project need 5 MB.")
        claim(output / str(context["project_slug"]))
    except SystemExit:
        with contextlib.suppress(OSError):  # it isn't empty: then it was there before
            (output / str(context["project_slug"])).rmdir()
        raise
    return ""


def claim(project: Path) -> None:
    """Refuse a project that another process is writing: both have found no folder of this name.

    Raises:
        SystemExit: there is one.
    """
    mark = project / BEING_WRITTEN
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        raise SystemExit(
            f"Error: another cookiecutter is writing {project}. If none is, remove {mark}."
        ) from None
    except FileNotFoundError:  # cruft doesn't say where the project is
        pass


def tell_in_a_line(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What cookiecutter can't do on this machine, it would end with a traceback."""
    if isinstance(error, OSError):
        cause = getattr(error.__cause__, "strerror", None)
        print(f"Error: {error}{f': {cause}' if cause else ''}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def shown(answer: object) -> str:
    """The answer on one line, and not too long."""
    text = ascii(answer) if not str(answer).isprintable() else repr(answer)
    return text if len(text) <= 80 else f"{text[:77]}..."


def of_name(answer: object) -> str:
    if reason := of_text(answer):
        return reason
    slug = slugify(str(answer), separator="_")
    if not slug:
        return "gives no package name: start with a letter."
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
    if not isinstance(answer, str):
        return "is no text: put it in quotes."
    text = answer
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


def of_choice(choices: Sequence[str], answer: object) -> str:
    return "" if chosen(choices, answer) else f"is none of {', '.join(choices)}."


def of_yes_or_no(answer: object) -> str:
    return "" if str(answer).lower() in YES + NO else "is neither yes nor no."


def of_set_up_now(answer: object) -> str:
    return "" if answer == DONE else of_yes_or_no(answer)


CHECKS: dict[str, Callable[[object], str]] = {
    "project_name": of_name,
    "project_slug": of_slug,
    "description": of_text,
    "author_name": of_text,
    "author_email": of_email,
    **{question: partial(of_choice, choices) for question, choices in CHOICES.items()},
    "accounts": of_yes_or_no,
    "set_up_now": of_set_up_now,
}


def chosen(choices: Sequence[str], answer: object) -> str:
    """The choice as it is written, whatever the case of the answer; empty where it is none."""
    found = (choice for choice in choices if choice.lower() == str(answer).lower())
    return next(found, "")


def yes_or_no(answer: object) -> str:
    return "yes" if str(answer).lower() in YES else "no"


def python(text: str) -> str:
    """The text as a literal of Python, quoted as the formatter would."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def toml(text: str) -> str:
    """The text between the quotes of a basic string: https://toml.io/en/v1.0.0#string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
