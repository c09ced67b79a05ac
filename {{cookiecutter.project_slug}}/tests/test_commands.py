"""The commands beside Flask-Migrate's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from flask import Flask

from {{ cookiecutter.project_slug }}.database import commands, db, server


def test_prepare_upgrades_and_seeds_a_new_database_once(empty_app: Flask) -> None:
    run = partial(empty_app.test_cli_runner().invoke, commands.db)

    assert "Seeded it." in run(args=["prepare"]).output
    assert "Seeded it." not in run(args=["prepare"]).output
    assert run(args=["seed"]).exit_code == 0


def test_prepare_creates_a_database_that_is_missing(empty_app: Flask) -> None:
    with empty_app.app_context():
        url = db.engine.url
        db.engine.dispose()
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).unlink(missing_ok=True)
    else:
        server.drop_database(url)

    done = empty_app.test_cli_runner().invoke(commands.db, ["prepare"])

    assert done.exit_code == 0
    assert ("Created the database" in done.output) == (url.get_backend_name() != "sqlite")
    assert empty_app.test_client().get("/readyz").status_code == 200


def test_reset_begins_anew_in_development_only(
    empty_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = partial(empty_app.test_cli_runner().invoke, commands.db)
    run(args=["prepare"])

    refused = run(args=["reset", "--yes"])
    assert refused.exit_code == 1
    assert "in development only" in refused.output

    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "Aborted!" in run(args=["reset"], input="n\n").output
    assert run(args=["reset"], input="y\n").exit_code == 0
