"""The first page, and the pages for errors."""

from __future__ import annotations

import pytest
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from markupsafe import escape


def test_the_first_page_names_the_application(client: FlaskClient) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert escape(client.application.config["PROJECT_NAME"]) in response.text
    assert "<h2>Status</h2>" not in response.text


def test_in_development_it_shows_what_runs(
    migrated_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrated_app, "debug", True)

    page = migrated_app.test_client().get("/").text

    assert "The models, the revisions and the database agree." in page
    assert "<code>/healthz</code>" in page


@pytest.mark.parametrize("path", ["/nowhere", "/apis"])
def test_an_error_has_a_page(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert "<h1>Not Found</h1>" in response.text
    assert client.get("/apis").mimetype == "text/html"


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    response = client.delete("/")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


def test_an_error_in_the_application_shows_nothing_of_it(new_app: NewApp) -> None:
    app = new_app()
    app.testing = False

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("hidden")

    response = app.test_client().get("/broken")

    assert response.status_code == 500
    assert "Internal Server Error" in response.text
    assert "hidden" not in response.text


def test_a_host_that_is_none_is_refused(app: Flask) -> None:
    for host in ("a..b", f"{'a' * 64}.example"):
        for path in ("/", "/nowhere"):
            assert app.test_client().get(path, headers={"Host": host}).status_code == 400


def test_over_https_no_other_host_can_set_the_cookie(new_app: NewApp) -> None:
    app = new_app(SESSION_COOKIE_SECURE=True)
    app.add_url_rule("/form", "form", generate_csrf, methods=["GET", "POST"])
    client = app.test_client()
    client.get("/form", base_url="https://localhost")

    cookie = client.get_cookie("__Host-session")
    assert cookie
    assert (cookie.secure, cookie.path, cookie.domain) == (True, "/", "localhost")
    assert "Browsers send the session cookie only over https" in client.post("/form").text


def test_a_form_is_taken_hours_after_it_was_opened(client: FlaskClient) -> None:
    assert client.application.config["WTF_CSRF_TIME_LIMIT"] is None
