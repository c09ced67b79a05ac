"""Fixtures: the application on a migrated database of its own, each test in a transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import flask_migrate
import pytest
from environs import Env
from flask import Flask
from flask_safe_migrations import (
    DatabaseUnavailable,
    create_database,
    describe_database,
    drop_database,
)
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from {{ cookiecutter.project_slug }} import config as config_module
from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.database import db
from {{ cookiecutter.project_slug }}.logs import NOT_COUNTED

Config = dict[str, Any]
NewApp = Callable[..., Flask]
pytest_plugins = ["client_fixtures"]

os.environ.pop("FLASK_DEBUG", None)  # the tests run as in production
env = Env()
env.read_env(config_module.ENV_FILE, recurse=False)
DEVELOPMENT_URL = make_url(env.str("DATABASE_URL", "sqlite://"))
SECRET_KEY = "0123456789abcdef0123456789abcdef"


def pytest_report_header() -> str:
    """Name the database beside which those of the tests are created."""
    return f"database: {DEVELOPMENT_URL.drivername}, beside {describe_database(DEVELOPMENT_URL)}"


@pytest.fixture(scope="session")
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Callable[[str], URL]]:
    """Return a function that creates an empty database beside that of DATABASE_URL."""
    created: list[URL] = []

    def create(name: str) -> URL:
        if DEVELOPMENT_URL.get_backend_name() == "sqlite":
            folder = tmp_path_factory.mktemp("database")
            return DEVELOPMENT_URL.set(database=str(folder / f"{name}.db"))
        url = DEVELOPMENT_URL.set(database=f"{DEVELOPMENT_URL.database}_{name}_{worker_id}")
        with Flask("tests").app_context():
            try:
                drop_database(url)  # left by a run that was killed
                create_database(url)
            except DatabaseUnavailable as error:
                message = f"{error} {explain_missing_privilege(url, str(error))}"
                request.session.shouldfail = message  # each test would fail in the same way
                pytest.fail(message, pytrace=False)
        created.append(url)
        return url

    yield create
    with Flask("tests").app_context():
        for url in created:
            drop_database(url)


def explain_missing_privilege(url: URL, error: str) -> str:
    """Return the statement that allows the user to create the databases of the tests."""
    if "denied" not in error:
        return ""
    statement = f'ALTER ROLE "{url.username}" CREATEDB'
    if url.get_backend_name() != "postgresql":
        with create_engine(DEVELOPMENT_URL).connect() as connection:
            account = str(connection.exec_driver_sql("SELECT CURRENT_USER()").scalar())
        user, _, host = account.rpartition("@")
        statement = f"GRANT ALL ON `{DEVELOPMENT_URL.database}\\_%`.* TO '{user}'@'{host}'"
    return f"An administrator allows the tests their own databases by: {statement};"


# The settings without a default, as the tests set them, and the host of the test client.
REQUIRED = {"SECRET_KEY": SECRET_KEY, "TRUSTED_HOSTS": "localhost"}


@pytest.fixture(scope="session")
def config(new_database: Callable[[str], URL], test_settings: Config) -> Config:
    """Return the settings as in production, whatever the environment is, but over HTTP."""
    url = new_database("test").render_as_string(hide_password=False)
    with (
        mock.patch.dict(os.environ, REQUIRED | {"DATABASE_URL": url}, clear=True),
        mock.patch.object(config_module, "ENV_FILE", Path("nowhere")),
    ):
        return vars(config_module.load_config()) | test_settings


@pytest.fixture
def new_app(config: Config, small_settings: Config, migrated_app: Flask) -> Iterator[NewApp]:
    """Return a function that creates an application with other settings, outside the transaction."""
    created: list[Flask] = []

    def create(**values: object) -> Flask:
        app = create_app(SimpleNamespace(**config | small_settings | values))
        created.append(app)
        return app

    yield create
    for app in created:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="session")
def migrated_app(config: Config) -> Iterator[Flask]:
    """Return the application with the schema that the revisions make."""
    app = create_app(SimpleNamespace(**config))
    with app.app_context():
        flask_migrate.upgrade()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """Return the application in a transaction that is rolled back, whatever the test commits.

    https://docs.sqlalchemy.org/en/21/orm/session_transaction.html (joining a session into an
    external transaction)
    """
    with migrated_app.app_context():
        engine = db.engine
        engines = cast(dict[str | None, Engine | Connection], db.engines)
        db.session.configure(join_transaction_mode="create_savepoint")
    with engine.connect() as connection, connection.begin() as transaction:
        engines[None] = connection
        yield migrated_app
        engines[None] = engine
        transaction.rollback()


@pytest.fixture
def empty_app(new_app: NewApp, new_database: Callable[[str], URL]) -> Flask:
    """Return the application on a database without tables."""
    return new_app(SQLALCHEMY_DATABASE_URI=new_database("empty"))


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Return the queries so far, as a list that the test may clear."""
    made: list[str] = []

    def record(connection: Connection, cursor: object, sql: str, *others: object) -> None:
        if not sql.startswith(NOT_COUNTED):
            made.append(sql)

    event.listen(Engine, "before_cursor_execute", record)
    yield made
    event.remove(Engine, "before_cursor_execute", record)
