"""The commands beside Flask-Migrate's own."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from conftest import NewApp
from flask import Flask
from flask_safe_migrations import cli, drop_database, pending_revisions

from {{ cookiecutter.project_slug }}.config import MIGRATIONS_FOLDER
from {{ cookiecutter.project_slug }}.database import db


def test_prepare_upgrades_a_new_database_which_can_be_seeded_again(empty_app: Flask) -> None:
    run = partial(empty_app.test_cli_runner().invoke, cli.db)

    assert run(args=["prepare"]).exit_code == 0
    with empty_app.app_context():
        assert pending_revisions() == []
    assert run(args=["prepare"]).output == ""
    assert run(args=["seed"]).exit_code == 0


def test_prepare_says_why_it_cannot(new_app: NewApp) -> None:
    app = new_app(SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")

    done = app.test_cli_runner().invoke(cli.db, ["prepare"])

    assert done.exit_code == 1
    assert "Create its folder" in done.output


def test_seeding_can_be_repeated(app: Flask) -> None:
    run = partial(app.test_cli_runner().invoke, cli.db)

    assert [run(args=["seed"]).exit_code for _ in range(2)] == [0, 0]


def test_lint_names_the_danger_in_a_revision(
    migrated_app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(migrated_app.test_cli_runner().invoke, cli.db)
    assert run(args=["lint"]).exit_code == 0
    assert "Can't locate revision" in run(args=["lint", "nothing"]).output

    shutil.copytree(MIGRATIONS_FOLDER, tmp_path, dirs_exist_ok=True)
    (first,) = ScriptDirectory(MIGRATIONS_FOLDER).get_bases()
    (path,) = tmp_path.glob(f"versions/*_{first}_*.py")
    text = path.read_text().replace(
        "def upgrade() -> None:", "def upgrade() -> None:\n    op.drop_table('old')"
    )
    path.write_text(text)
    monkeypatch.setattr(migrated_app.extensions["migrate"].migrate, "directory", str(tmp_path))
    dangerous = run(args=["lint", first])

    assert dangerous.exit_code == 1
    assert "drop-table" in dangerous.output


def test_prepare_creates_a_database_that_is_missing(empty_app: Flask) -> None:
    with empty_app.app_context():
        url = db.engine.url
        db.engine.dispose()
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).unlink(missing_ok=True)
    else:
        with empty_app.app_context():
            drop_database(url)

    done = empty_app.test_cli_runner().invoke(cli.db, ["prepare"])

    assert done.exit_code == 0
    assert ("Created the database" in done.output) == (url.get_backend_name() != "sqlite")
    assert empty_app.test_client().get("/readyz").status_code == 200


def test_reset_starts_again_in_development_only(
    empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(empty_app.test_cli_runner().invoke, cli.db)
    run(args=["prepare"])

    refused = run(args=["reset", "--yes"])
    assert refused.exit_code == 1
    assert "requires debug mode" in refused.output

    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "Aborted!" in run(args=["reset"], input="n\n").output
    assert run(args=["reset"], input="y\n").exit_code == 0
    assert run(args=["reset", "--yes"]).exit_code == 0
