"""What a load balancer sees."""

from __future__ import annotations

from conftest import TestSettings
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.database import db


def test_a_living_process_is_healthy(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_migrated_database_is_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_a_pending_migration_is_not_ready(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(text("DELETE FROM alembic_version"))
        db.session.commit()

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json is not None
    assert response.json["reason"] == "migrations are pending"


def test_a_database_migrated_by_a_newer_release_is_ready(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(text("UPDATE alembic_version SET version_num = 'from_tomorrow'"))
        db.session.commit()

    assert client.get("/readyz").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready() -> None:
    nowhere = TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")

    response = create_app(nowhere).test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json == {"status": "error", "reason": "the database does not answer"}
