"""Test accounts on real servers: many requests at once, and many guesses."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from conftest import SCRIPTS, Bake, Project, User, free_port, get, own_files
from servers import KINDS, driver_named, engine_of
from sqlalchemy import text

pytestmark = pytest.mark.thorough

PASSWORD = "correct horse battery staple"  # noqa: S105
DRIVERS = ["--with", "psycopg[binary]", "--with", "pymysql[rsa]"]
GUESSES = 10_000 if os.environ.get("ROUNDS") else 1_000


@pytest.fixture(scope="module")
def project(new_user: Callable[[], User]) -> Project:
    """Return a project with accounts. Each test sets its database."""
    return new_user().project("accounts=yes")


@pytest.fixture
def deploy(project: Project, new_uri: Callable[[str], str]) -> Callable[..., Project]:
    """Return a function that configures the project for production, on a new database."""

    def place(kind: str, **settings: str) -> Project:
        settings |= {
            "DATABASE_URL": driver_named(new_uri(kind)),
            "SECRET_KEY": secrets.token_hex(),
            "FLASK_DEBUG": "0",
        }
        return Project(project.path, {**project.env, **settings})

    return place


@contextmanager
def serve(project: Project, **settings: str) -> Iterator[int]:
    """Serve the project by gunicorn on a prepared database, and return the port."""
    project = Project(project.path, {**project.env, **settings})
    project.succeed("uv", "run", *DRIVERS, "flask", "db", "prepare")
    with project.listen(*DRIVERS, "gunicorn") as port:
        get(port, "/readyz")
        yield port


class Visitor:
    """A browser that sends one form repeatedly."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        status, page, self.cookie = self._ask("GET")
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)', page)
        assert found, status
        self.token = found[1]

    def _ask(self, method: str, body: str = "", **headers: str) -> tuple[int, str, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, self.path, body, headers)
            response = connection.getresponse()
            cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
            return response.status, response.read().decode(), cookie
        finally:
            connection.close()

    def send(self, **values: str) -> int:
        headers = {
            "Cookie": self.cookie,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._ask("POST", urlencode(values | {"csrf_token": self.token}), **headers)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_many_registrations_of_an_address_at_once_make_one_account(
    kind: str, deploy: Callable[..., Project]
) -> None:
    project = deploy(kind)
    values = {"email": "ann@example.com", "password": PASSWORD, "password_confirm": PASSWORD}

    with serve(project, WEB_THREADS="8") as port:  # no visitor waits for another
        visitors = [Visitor(port, "/accounts/register") for _ in range(8)]
        with ThreadPoolExecutor(len(visitors)) as pool:
            answers = list(pool.map(lambda visitor: visitor.send(**values), visitors))

    assert set(answers) == {302}
    engine = engine_of(project.env["DATABASE_URL"])
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM account")) == 1


HOSTILE_FORMS = """
import pytest
from forms import Form
from test_accounts import ANN, LOOKALIKES, list_addresses, outbox, register, visitor
from werkzeug.datastructures import MultiDict

# Missing, hostile and repeated.
HOSTILE = [
    (), ("",), (" ",), ("\\0",), ("a\\0@example.com",), ("'--",), ("x" * 10_000,),
    ("\\U0001f600\\u202e",), ("<script>",), ("a", "b"),
]
FORMS = ["login", "register", "reset", "confirm"]
FORMS_OF_ACCOUNTS = ["change", "change-email", "verify", "tf-setup", "wan-register", "tokens"]

@pytest.mark.parametrize("path", FORMS + FORMS_OF_ACCOUNTS)
def test_refused(app, client, visitor, outbox, path):
    browser = visitor if path in FORMS else client
    fields = Form(browser.get(f"/accounts/{path}").text).fields
    token = fields.pop("csrf_token")
    fields |= {"setup": ""} if path == "tf-setup" else {}  # the buttons of that page
    assert fields
    for values in HOSTILE:
        data = dict.fromkeys(fields, values) | {"csrf_token": (token,)}
        answer = browser.post(f"/accounts/{path}", data=MultiDict(data))
        assert answer.status_code in (200, 302, 400, 413), values
    assert list_addresses(app) == [ANN]
    assert {message["To"] for message in outbox} <= {ANN}  # of the tokens that were made

@pytest.mark.parametrize(("typed", "stored"), LOOKALIKES)
def test_looks_alike(app, visitor, outbox, typed, stored):
    register(visitor, typed)
    assert [message["To"] for message in outbox] == ([stored] if stored else [])
    assert list_addresses(app) == ([ANN, stored] if stored not in ("", ANN) else [ANN])
"""


@pytest.mark.parametrize("kind", KINDS)
def test_forms_refuse_missing_hostile_and_repeated_values(
    kind: str, deploy: Callable[..., Project]
) -> None:
    """Addresses that look alike are tried, too. In each project, this would slow down the tests."""
    project = deploy(kind)
    path = project.path / "tests" / "test_hostile_forms.py"
    path.write_text(HOSTILE_FORMS)
    project.succeed("uv", "run", *DRIVERS, "pytest", "tests/test_hostile_forms.py")
    path.unlink()


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """Start a Redis that stores nothing, and return its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def guess(port: int, number: int) -> Counter[int]:
    """Send wrong passwords for one account, four at a time, and count the status codes."""
    visitors = [Visitor(port, "/accounts/login") for _ in range(4)]

    def try_some(visitor: Visitor) -> Counter[int]:
        share = range(number // len(visitors))
        return Counter(visitor.send(email="ann@example.com", password=f"wrong {n}") for n in share)

    with ThreadPoolExecutor(len(visitors)) as pool:
        return sum(pool.map(try_some, visitors), Counter())


def test_of_many_wrong_passwords_few_are_checked(
    deploy: Callable[..., Project], redis: str
) -> None:
    """With Redis, both processes count together."""
    project = deploy("sqlite", RATELIMIT_STORAGE_URI=redis)
    with serve(project) as port:
        started = time.monotonic()
        answers = guess(port, GUESSES)
        minutes = (time.monotonic() - started) / 60
        assert get(port, "/healthz")[0] == 200

    assert set(answers) == {200, 429}
    assert answers.total() == GUESSES
    assert answers[200] <= 10 * (minutes + 2)


def test_while_redis_is_unavailable_each_process_counts(deploy: Callable[..., Project]) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    project = deploy("sqlite", RATELIMIT_STORAGE_URI=nowhere)
    with serve(project) as port:
        answers = guess(port, 100)

    assert set(answers) == {200, 429}
    assert answers[200] <= 2 * 20


def test_a_revision_works_on_every_database(
    user: User,
    new_uri: Callable[[str], str],
) -> None:
    project = user.project(f"database_uri={new_uri('postgresql')}", "accounts=yes")
    for kind in KINDS:
        settings = {"SECRET_KEY": secrets.token_hex(), "DATABASE_URL": driver_named(new_uri(kind))}
        there = Project(project.path, {**project.env, **settings})
        there.succeed(
            "uv", "run", *DRIVERS, "python", "-W", "error", str(SCRIPTS / "life_cycle.py")
        )


# Words that belong to accounts alone.
TRACES = re.compile(
    r"flask.security|limiter|passkey|recovery|owner_id|account_id|mail_|log.?in\b|redis|accounts/",
    re.IGNORECASE,
)


def test_without_accounts_nothing_of_them_is_left(bake: Bake) -> None:
    def found_in(project: Path) -> set[str]:
        return {
            word.lower()
            for path in own_files(project)
            for line in [str(path.relative_to(project)), *path.read_text("utf-8").splitlines()]
            for word in TRACES.findall(line)
        }

    assert found_in(bake(accounts="yes", project_name="With It")) >= {
        "passkey",
        "owner_id",
        "redis",
    }
    assert found_in(bake(project_name="Without It")) == {"redis"}  # a recipe's, in README.md


def test_accounts_need_pages(user: User) -> None:
    done = user.cookiecutter("--no-input", "accounts=yes", "interface=api")

    assert done.returncode == 1
    assert done.stdout == (
        "Error: accounts 'yes' needs pages to log in on: answer pages or pages+api to interface.\n"
    )
    assert user.files() == []
