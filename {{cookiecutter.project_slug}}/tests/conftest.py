"""What the tests share: an application on a migrated database of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass,{% if cookiecutter.accounts == "yes" %} field,{% endif %} replace
from typing import Any, cast

import flask_migrate
import pytest
{% if cookiecutter.accounts == "yes" -%}
from factories import log_in, make_account
from flask import Flask, appcontext_pushed, g
{%- else -%}
from flask import Flask
{%- endif %}
from flask.testing import FlaskClient
{%- if cookiecutter.accounts == "yes" %}
from passlib.totp import AppWallet
{%- endif %}
from sqlalchemy import URL, Connection, Engine, event, make_url

from {{ cookiecutter.project_slug }} import {% if cookiecutter.accounts == "yes" %}accounts, {% endif %}create_app
from {{ cookiecutter.project_slug }}.config import Settings, whole_environment
from {{ cookiecutter.project_slug }}.database import db, server
from {{ cookiecutter.project_slug }}.database.queries import TRANSACTION

NewApp = Callable[..., Flask]
DEVELOPMENT_URL = make_url(whole_environment().get("DATABASE_URL") or "sqlite://")

{%- if cookiecutter.accounts == "yes" %}
# How passwords are hashed here.
FAST = {"argon2__rounds": 1, "argon2__memory_cost": 8, "argon2__parallelism": 1}
AppWallet.encrypt_cost = 4  # and how the keys of second factors are encrypted
# What an application is made faster without: https://flask-security.readthedocs.io/en/stable/configuration.html
SMALL = dict.fromkeys(("SECURITY_REGISTERABLE", "SECURITY_TWO_FACTOR", "SECURITY_WEBAUTHN"), False)
{%- endif %}


@dataclass(frozen=True, kw_only=True)
class TestSettings(Settings):
{%- if "pages" in cookiecutter.interface %}
    """As in production, but over HTTP, and an error in the application is the test's."""
{%- else %}
    """As in production, but an error in the application is the test's."""
{%- endif %}

    __test__ = False
    TESTING: bool = True
{%- if "pages" in cookiecutter.interface %}
    SESSION_COOKIE_SECURE: bool = False
{%- endif %}
{%- if cookiecutter.accounts == "yes" %}
    RATELIMIT_ENABLED: bool = False
    SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS: dict[str, int] = field(default_factory=FAST.copy)
{%- endif %}


def pytest_report_header() -> str:
    return f"database: {DEVELOPMENT_URL.drivername}, beside {server.place(DEVELOPMENT_URL)}"


@pytest.fixture(scope="session")
def new_database(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Callable[[str], URL]]:
    """A function that makes an empty database, beside the one in DATABASE_URL and never that one."""
    made: list[URL] = []

    def make(name: str) -> URL:
        if DEVELOPMENT_URL.get_backend_name() == "sqlite":
            folder = tmp_path_factory.mktemp("database")
            return DEVELOPMENT_URL.set(database=str(folder / f"{name}.db"))
        url = DEVELOPMENT_URL.set(database=f"{DEVELOPMENT_URL.database}_{name}_{worker_id}")
        server.drop_database(url)  # of a run that was killed
        server.create_database(url)
        made.append(url)
        return url

    yield make
    for url in made:
        server.drop_database(url)


@pytest.fixture(scope="session")
def settings(new_database: Callable[[str], URL]) -> TestSettings:
    return TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=new_database("test"))


@pytest.fixture
def new_app(settings: TestSettings) -> Iterator[NewApp]:
    """A function that makes an application whose settings differ in these values.

    It is not in the transaction of the test
{%- if cookiecutter.accounts == "yes" %}, and has fewer pages for accounts{% endif %}.
    """
    made: list[Flask] = []

    def make(**values: Any) -> Flask:  # noqa: ANN401
        made.append(app := create_app(replace(settings, **{% if cookiecutter.accounts == "yes" %}SMALL | {% endif %}values)))
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="session")
def migrated_app(settings: TestSettings) -> Iterator[Flask]:
    """The application, its schema made by the revisions: what is not in one is not there."""
{%- if cookiecutter.accounts == "yes" %}
    with pytest.MonkeyPatch.context() as patch:  # of attempts, few are enough for a test
        patch.setattr(accounts.rate_limits, "PER_ACCOUNT", "2 per minute")
        patch.setattr(accounts.rate_limits, "PER_ADDRESS", "4 per minute")
        app = create_app(replace(settings, RATELIMIT_ENABLED=True))
    (limiter,) = app.extensions["limiter"]
    limiter.enabled = False  # until a test counts attempts
{%- else %}
    app = create_app(settings)
{%- endif %}
    with app.app_context():
        flask_migrate.upgrade()
{%- if cookiecutter.accounts == "yes" %}
    make_account(app)  # Ann, whom all tests find there
{%- endif %}
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The application in a transaction that is undone after the test, whatever is committed in it.

    https://docs.sqlalchemy.org/en/21/orm/session_transaction.html (joining a session into an
    external transaction)
    """
    with migrated_app.app_context():
        engine = db.engine
        engines = cast(dict[str | None, Engine | Connection], db.engines)
        db.session.configure(join_transaction_mode="create_savepoint")
    with engine.connect() as connection, connection.begin() as transaction:
        engines[None] = connection
{%- if cookiecutter.accounts == "yes" %}

        def set_owner(app: Flask) -> None:
            g.account_id = 1  # Ann, where no request says who it is

        with appcontext_pushed.connected_to(set_owner):
            yield migrated_app
{%- else %}
        yield migrated_app
{%- endif %}
        engines[None] = engine
        transaction.rollback()


@pytest.fixture
def empty_app(new_app: NewApp, new_database: Callable[[str], URL]) -> Flask:
    """The application on a database without tables."""
    return new_app(SQLALCHEMY_DATABASE_URI=new_database("empty"))


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The queries that have been made since the test cleared this list."""
    made: list[str] = []

    def note(connection: Connection, cursor: object, statement: str, *others: object) -> None:
        if not statement.startswith(TRANSACTION):
            made.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield made
    event.remove(Engine, "before_cursor_execute", note)


{% if cookiecutter.accounts == "yes" -%}
@pytest.fixture(scope="session")
def ann(migrated_app: Flask) -> FlaskClient:
    """The browser in which Ann has logged in before all tests."""
    return log_in(migrated_app, "ann@example.com")


@pytest.fixture
def client(app: Flask, ann: FlaskClient) -> FlaskClient:
    """A browser without the browser, in which Ann is logged in
{%- if "api" in cookiecutter.interface %}; it sends a token of hers, too{% endif %}.

    https://flask.palletsprojects.com/en/stable/testing/
    """
    client = app.test_client()
    cookie = ann.get_cookie("session")
    assert cookie
    client.set_cookie("session", cookie.value)
{%- if "api" in cookiecutter.interface %}
    client.environ_base = ann.environ_base.copy()
{%- endif %}
    return client
{%- else -%}
@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without the browser: https://flask.palletsprojects.com/en/stable/testing/."""
    return app.test_client()
{%- endif %}
