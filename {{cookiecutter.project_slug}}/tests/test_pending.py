"""In development, a page tells of pending migrations, and its button runs them."""

from __future__ import annotations

import re

import pytest
from conftest import TestSettings
from flask import Flask

from {{ cookiecutter.project_slug }} import create_app


@pytest.fixture
def development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")


@pytest.fixture
def developed(development: None, empty_app: Flask) -> Flask:
    """The application in development, on a database without tables."""
    empty_app.config["WTF_CSRF_ENABLED"] = True
    return empty_app


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


def test_a_database_out_of_reach_is_explained(development: None) -> None:
    nowhere = TestSettings(SECRET_KEY="test", SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")
    client = create_app(nowhere).test_client()

    page = client.get("/")
    assert page.status_code == 503
    assert "Make its folder" in page.text
    assert "Make its folder" in client.post("/pending-migrations/").text


def test_outside_development_there_is_no_such_page(app: Flask) -> None:
    assert app.test_client().post("/pending-migrations/").status_code == 404
