"""The revisions make the schema that the models describe, and can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from conftest import TestSettings
from flask import Flask
from sqlalchemy import URL, inspect

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.database import db, migrate


@pytest.fixture
def empty_app(new_database: Callable[[str], URL]) -> Iterator[Flask]:
    """The application on a database without tables."""
    url = new_database("empty")
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=url))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory(migrate.directory).get_heads()) == 1


def test_no_model_is_ahead_of_the_revisions(migrated_app: Flask) -> None:
    """Red after a model has changed, until `flask db migrate` has made a revision of it."""
    with migrated_app.app_context():
        flask_migrate.check()


def test_revisions_can_be_undone_and_done_again(empty_app: Flask) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade()
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]

        flask_migrate.upgrade()
        flask_migrate.check()
