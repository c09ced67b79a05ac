"""What the tests share: an application on a migrated database of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, Connection, Engine, make_url

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.config import Settings, whole_environment
from {{ cookiecutter.project_slug }}.database import db, server

DEVELOPMENT_URL = make_url(whole_environment().get("DATABASE_URL") or "sqlite://")


class TestSettings(Settings):
    """Forms are posted without the token that a browser would get from the page."""

    __test__ = False
    TESTING = True
    WTF_CSRF_ENABLED = False


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
def migrated_app(new_database: Callable[[str], URL]) -> Iterator[Flask]:
    """The application, its schema made by the revisions: what is not in one is not there."""
    url = new_database("test")
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=url))
    with app.app_context():
        flask_migrate.upgrade()
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
        yield migrated_app
        engines[None] = engine
        transaction.rollback()


@pytest.fixture
def empty_app(new_database: Callable[[str], URL]) -> Iterator[Flask]:
    """The application on a database without tables."""
    url = new_database("empty")
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=url))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without the browser: https://flask.palletsprojects.com/en/stable/testing/."""
    return app.test_client()
