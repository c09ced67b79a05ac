"""In development, a page tells of pending migrations, and its button runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from conftest import TestSettings
from flask import Flask
from sqlalchemy import URL

from {{ cookiecutter.project_slug }} import create_app
from {{ cookiecutter.project_slug }}.database import db


@pytest.fixture
def developed(
    new_database: Callable[[str], URL], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """The application in development, on a database without tables."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    url = new_database("pending")
    app = create_app(TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI=url))
    app.config["WTF_CSRF_ENABLED"] = True
    yield app
    with app.app_context():
        db.engine.dispose()


def test_the_button_runs_what_is_pending(developed: Flask) -> None:
    client = developed.test_client()
    page = client.get("/")
    assert page.status_code == 503
    assert "Migrations are pending" in page.text
    assert client.get("/healthz").status_code == 200

    token = re.findall(r'name="csrf_token" value="(.*?)"', page.text)
    response = client.post("/pending-migrations/", data={"csrf_token": token})

    assert response.location == "/"
    assert client.get("/").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_button_needs_its_token(developed: Flask) -> None:
    client = developed.test_client()

    assert client.post("/pending-migrations/").status_code == 400
    assert client.get("/").status_code == 503


def test_a_database_out_of_reach_is_explained(developed: Flask) -> None:
    nowhere = TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")
    client = create_app(nowhere).test_client()

    page = client.get("/")
    assert page.status_code == 503
    assert "Make its folder" in page.text
    assert "Make its folder" in client.post("/pending-migrations/").text


def test_outside_development_there_is_no_such_page(app: Flask) -> None:
    assert app.test_client().post("/pending-migrations/").status_code == 404
