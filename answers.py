"""Checks each answer the moment it is given, and puts the form that is recorded in its place."""

from __future__ import annotations

import contextlib
import keyword
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from slugify import slugify

import database_uri

# A project of such a name would hide a package that it needs, or one of its own modules.
RESERVED_NAMES = frozenset(
    (
        "alembic apiflask apispec argon2 blinker click coverage cryptography dotenv email_validator"
        " environs execnet flask flask_generate flask_httpauth flask_limiter flask_login flask_mailman"
        " flask_marshmallow flask_migrate flask_principal flask_safe_migrations flask_security"
        " flask_smorest flask_sqlalchemy flask_wtf greenlet gunicorn itsdangerous jinja2 limits mako"
        " markupsafe marshmallow mypy passlib pip poethepoet prek psycopg psycopg2 pymysql pytest"
        " pytest_cov python_dotenv pythonjsonlogger qrcode redis ruff setuptools sqlalchemy"
        " typing_extensions uv webargs webauthn werkzeug wheel wtforms xdist yaml"
        " bin conftest docs factories forms instance migrations set_up setup setup_database src test tests"
        " venv"
    ).split()
)
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file#naming-conventions
WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in range(10)]
)
# Each choice, and other words for it, of which only the letters and digits count.
Choices = Mapping[str, str]
INTERFACES: Choices = {
    "pages+api": "both all apipages pagesandapi apiandpages",
    "pages": "html web website pagesonly",
    "api": "rest restapi json apionly",
}
CI: Choices = {
    "github": "githubactions githubcom actions",
    "gitlab": "gitlabci gitlabcicd gitlabcom",
    "none": "no n nothing off false 0",
}
LICENSES: Choices = {
    "MIT": "mitlicense themitlicense expat",
    "BSD-3-Clause": "bsd bsd3 bsdlicense bsd3clauselicense newbsd",
    "Apache-2.0": "apache apache2 apachelicense apachelicense2 apachelicense20",
    "none": "no n nothing proprietary off false 0",
}
YES_OR_NO: Choices = {"yes": "y true t 1 on yeah yep ok", "no": "n false f 0 off nope none"}
CHOICES = ("interface", "accounts", "ci", "license", "set_up_now")
DONE = "done"  # recorded as set_up_now: the project has been made
MAX_SLUG_LENGTH = 50  # characters; a path on Windows has 260 in all
MAX_TEXT_LENGTH = 200


class InvalidAnswer(ValueError):
    """The answer can't be used. The text says why; it follows the answer in the error message."""


class PublicUri(str):
    """The address of a database without its password: cookiecutter and cruft record this text.

    Attributes:
        full: The address with its password.
        is_tested: Whether this template's tests run on such a database.
    """

    full: str
    is_tested: bool

    @classmethod
    def from_uri(cls, uri: database_uri.DatabaseUri) -> PublicUri:
        self = cls(uri.public)
        self.full, self.is_tested = uri.full, uri.is_tested
        return self


class Refusal(SystemExit):
    """An answer can't be used: cookiecutter and cruft print the message and exit with 1.

    Attributes:
        questions: What to ask again.
    """

    def __init__(self, message: str, *questions: str) -> None:
        super().__init__(f"Error: {message}")
        self.questions = questions


def check(context: dict[str, Any], question: str) -> str:
    """Check the answer to a question in `context`, and replace it by the form that is recorded.

    Returns:
        The value of the private variable that calls this: the answer to set_up_now, else nothing.

    Raises:
        Refusal: The answer can't be used.
    """
    if question not in context:
        return ""  # a replay asks new questions alone; check_all checks all answers
    answer = context[question]
    try:
        if question == "database_uri" and isinstance(answer, str):
            answer = database_uri.complete(answer, context.get("project_slug", "my_app"))
        recorded = CHECKS[question](answer)
    except InvalidAnswer as error:
        raise Refusal(f"{question} {abbreviate(answer)} {error}", question) from None
    except database_uri.InvalidUri as error:
        raise Refusal(f"{question} {error}", question) from None
    context[question] = recorded
    if question == "database_uri":  # set here, because a variable of cookiecutter.json can be given
        context["__driver"] = recorded.partition(":")[0]
        context["__database"] = context["__driver"].partition("+")[0]
    if question == "accounts" and recorded == "yes" and context.get("interface") == "api":
        raise Refusal(
            "accounts 'yes' needs pages to log in on: answer pages or pages+api to interface.",
            "interface",
            "accounts",
        )
    if question != "set_up_now":
        return ""
    # When cruft makes the project again, to compare two versions of the template, it passes on the
    # recorded answers, but no private variable. `cookiecutter --replay` passes on both.
    context[question] = DONE
    return recorded


def notes_on(question: str, answer: object, recorded: str) -> Iterator[str]:
    """Return what to say about an answer that is taken: how it is understood, and what is not tested."""
    given = str(answer).strip().lower()
    dialect = recorded.partition(":")[0].partition("+")[0]
    if (question in CHOICES and given != recorded.lower()) or (
        question == "database_uri" and not given.startswith(dialect)
    ):
        yield f"{question} is {recorded}."
    if isinstance(recorded, PublicUri) and recorded is not answer and not recorded.is_tested:
        yield f"{recorded.partition(':')[0]} is accepted, but not tested with this template."


def abbreviate(answer: object) -> str:
    """Return the answer in quotes, on one line of at most 80 characters."""
    text = repr(answer) if str(answer).isprintable() else ascii(answer)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_text(answer: object) -> str:
    if not isinstance(answer, str):
        raise InvalidAnswer("is not text: put it in quotes.")
    answer = answer.strip(" ")
    if not answer:
        raise InvalidAnswer("is empty: type at least one letter.")
    if not answer.isprintable():
        raise InvalidAnswer(
            "has a line break or an invisible character: type plain text on one line."
        )
    if len(answer) > MAX_TEXT_LENGTH:
        raise InvalidAnswer(f"is too long: use at most {MAX_TEXT_LENGTH} characters.")
    return answer


def check_name(answer: object) -> str:
    name = check_text(answer)
    slug = slugify(name, separator="_")
    if not slug:
        raise InvalidAnswer("gives no package name: start with a letter.")
    try:
        check_slug(slug)
    except InvalidAnswer as error:
        raise InvalidAnswer(f"gives the package name {slug!r}, which {error}") from None
    return name


def check_slug(answer: object) -> str:
    slug = str(answer).strip(" ")
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", slug, re.ASCII):
        raise InvalidAnswer(
            "is not a valid package name: start with a letter, go on with a-z, 0-9 and _,"
            " and end with a letter or digit, as in my_app."
        )
    if len(slug) > MAX_SLUG_LENGTH:
        raise InvalidAnswer(f"is too long: use at most {MAX_SLUG_LENGTH} characters.")
    if keyword.iskeyword(slug) or slug in sys.stdlib_module_names:
        raise InvalidAnswer(f"belongs to Python itself: use another name, such as {slug}_app.")
    if slug in RESERVED_NAMES or slug in WINDOWS_DEVICES:
        raise InvalidAnswer(
            f"is needed by the project itself: use another name, such as {slug}_app."
        )
    return slug


def check_email(answer: object) -> str:
    email = str(answer).strip(" ")
    if not re.fullmatch(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(\.[\w-]+)+", email, re.ASCII):
        raise InvalidAnswer("is not an e-mail address: type one such as you@example.com.")
    return check_text(email)


def check_database_uri(answer: object) -> str:
    if isinstance(answer, str) and hasattr(answer, "full"):
        return answer  # checked before
    return PublicUri.from_uri(database_uri.parse(str(answer)))


def check_choice(choices: Choices, answer: object) -> str:
    given = letters(answer)
    for choice, words in choices.items():
        if given in (letters(choice), *words.split()):
            return choice
    raise InvalidAnswer(f"is not one of {', '.join(choices)}.")


def letters(answer: object) -> str:
    """Return the letters and digits of an answer."""
    return re.sub(r"[\W_]", "", str(answer).lower())


def check_yes_or_no(answer: object) -> str:
    with contextlib.suppress(InvalidAnswer):
        return check_choice(YES_OR_NO, answer)
    raise InvalidAnswer("is neither yes nor no.")


def check_set_up_now(answer: object) -> str:
    return DONE if answer == DONE else check_yes_or_no(answer)


# Each function returns the answer as it is recorded, or raises InvalidAnswer or InvalidUri.
CHECKS: dict[str, Callable[[object], str]] = {
    "project_name": check_name,
    "project_slug": check_slug,
    "description": check_text,
    "author_name": check_text,
    "author_email": check_email,
    "database_uri": check_database_uri,
    "interface": partial(check_choice, INTERFACES),
    "accounts": check_yes_or_no,
    "ci": partial(check_choice, CI),
    "license": partial(check_choice, LICENSES),
    "set_up_now": check_set_up_now,
}
