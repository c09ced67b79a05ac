"""The commands beside Flask-Migrate's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import TestSettings
from flask import Flask
from sqlalchemy import URL

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.database import commands, db, server


@pytest.fixture
def commanded(new_database: Callable[[str], URL]) -> Iterator[Flask]:
    """The application on a database without tables."""
    url = new_database("commands")
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=url))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_prepare_upgrades_and_seeds_a_new_database_once(commanded: Flask) -> None:
    run = partial(commanded.test_cli_runner().invoke, commands.db)

    assert "Seeded it." in run(args=["prepare"]).output
    assert "Seeded it." not in run(args=["prepare"]).output
    assert run(args=["seed"]).exit_code == 0


def test_prepare_creates_a_database_that_is_missing(commanded: Flask) -> None:
    with commanded.app_context():
        url = db.engine.url
        db.engine.dispose()
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).unlink(missing_ok=True)
    else:
        server.drop_database(url)

    done = commanded.test_cli_runner().invoke(commands.db, ["prepare"])

    assert done.exit_code == 0
    assert ("Created the database" in done.output) == (url.get_backend_name() != "sqlite")
    assert commanded.test_client().get("/readyz").status_code == 200


def test_reset_begins_anew_in_development_only(
    commanded: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(commanded.test_cli_runner().invoke, commands.db)
    run(args=["prepare"])

    refused = run(args=["reset", "--yes"])
    assert refused.exit_code == 1
    assert "in development only" in refused.output

    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "Aborted!" in run(args=["reset"], input="n\n").output
    assert run(args=["reset"], input="y\n").exit_code == 0
