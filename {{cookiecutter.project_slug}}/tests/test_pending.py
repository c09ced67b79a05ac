"""In development, a page tells of pending migrations, and its button runs them."""

from __future__ import annotations

import pytest
from conftest import NewApp
from flask import Flask
from forms import Form
from sqlalchemy import text

from {{ cookiecutter.project_slug }}.database import db


@pytest.fixture
def development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")


@pytest.fixture
def developed(development: None, empty_app: Flask) -> Flask:
    """The application in development, on a database without tables."""
    return empty_app


def test_the_button_runs_what_is_pending(developed: Flask) -> None:
    client = developed.test_client()
    page = client.get("/")
    assert page.status_code == 503
    assert "Migrations are pending" in page.text
    assert client.get("/healthz").status_code == 200

    response = client.post("/pending-migrations/", data=Form(page.text).fields)

    assert response.location == "/"
    assert client.get("/").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_button_needs_its_token(developed: Flask) -> None:
    client = developed.test_client()

    assert client.post("/pending-migrations/").status_code == 400
    assert client.get("/").status_code == 503


def test_a_database_out_of_reach_is_explained(development: None, new_app: NewApp) -> None:
    nowhere = new_app(SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")
    client = nowhere.test_client()

    page = client.get("/")
    assert page.status_code == 503
    assert "Make its folder" in page.text
    assert (
        "Make its folder" in client.post("/pending-migrations/", data=Form(page.text).fields).text
    )


def test_a_database_that_is_broken_otherwise_is_explained(developed: Flask) -> None:
    with developed.app_context(), db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (something INTEGER)"))

    assert "could not be asked for its revision" in developed.test_client().get("/").text


def test_outside_development_there_is_no_such_page(app: Flask) -> None:
    assert app.test_client().post("/pending-migrations/").status_code == 404
