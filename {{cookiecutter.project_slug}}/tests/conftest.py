"""What the tests share: an application on a migrated database of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.config import Settings
from {{ cookiecutter.project_slug }}.database import db


class TestSettings(Settings):
    """Forms are posted without the token that a browser would get from the page."""

    __test__ = False
    TESTING = True
    WTF_CSRF_ENABLED = False


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database for this run, never the one in DATABASE_URL."""
    return f"sqlite:///{tmp_path_factory.mktemp('database') / 'test.db'}"


@pytest.fixture(scope="session")
def migrated_app(database_url: str) -> Flask:
    """The application, its schema made by the revisions: what is not in one is not there."""
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=database_url))
    with app.app_context():
        flask_migrate.upgrade()
    return app


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
def client(app: Flask) -> FlaskClient:
    """A browser without the browser: https://flask.palletsprojects.com/en/stable/testing/."""
    return app.test_client()
