"""The revisions make the schema that the models describe, and can be undone."""

from __future__ import annotations

import flask_migrate
from alembic.script import ScriptDirectory
from flask import Flask
from flask_generate import diagram
from flask_safe_migrations import cli
from sqlalchemy import inspect

from {{ cookiecutter.project_slug }}.config import MIGRATIONS_FOLDER
from {{ cookiecutter.project_slug }}.database import db


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory(MIGRATIONS_FOLDER).get_heads()) == 1


def test_no_model_is_ahead_of_the_revisions(migrated_app: Flask) -> None:
    """Red after a model has changed, until `flask db migrate` has made a revision of it."""
    with migrated_app.app_context():
        flask_migrate.check()


def test_the_revisions_make_the_tables_of_all_models(migrated_app: Flask) -> None:
    with migrated_app.app_context():
        assert set(inspect(db.engine).get_table_names()) >= set(db.metadata.tables)


def test_no_revision_is_dangerous(migrated_app: Flask) -> None:
    """Red where `flask db lint` finds something that no comment allows with its reason."""
    done = migrated_app.test_cli_runner().invoke(cli.db, ["lint"])

    assert done.exit_code == 0, done.output


def test_the_diagram_is_up_to_date(migrated_app: Flask) -> None:
    """Red where docs/schema.md exists and a model has changed, until `flask db diagram` is run."""
    done = migrated_app.test_cli_runner().invoke(diagram, ["--check"])

    assert done.exit_code == 0, done.output


def test_revisions_can_be_undone_and_done_again(empty_app: Flask) -> None:
    with empty_app.app_context():
        flask_migrate.upgrade()
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]

        flask_migrate.upgrade()
        flask_migrate.check()
