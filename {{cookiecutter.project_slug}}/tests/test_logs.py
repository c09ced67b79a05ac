"""What is logged, and what is not."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from typing import Any

import pytest
from conftest import NewApp
from flask.testing import FlaskClient
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from {{ cookiecutter.project_slug }}.database import db

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def production(new_app: NewApp) -> None:
    """Log as in production, whatever application was created last."""
    new_app()


def test_a_request_is_one_object_on_one_line(new_app: NewApp, capsys: Captured) -> None:
    app = new_app()

    @app.get("/ask/<int:times>")
    def ask(times: int) -> list[Any]:
        return [db.session.scalar(text(f"SELECT {number}")) for number in range(times)]

    app.test_client().get("/ask/2?key=private", headers={"X-Request-ID": "from-the-proxy"})

    (line,) = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["level"] == "INFO"
    assert logged["request_id"] == "from-the-proxy"
    assert (logged["method"], logged["path"], logged["status"]) == ("GET", "/ask/2", 200)
    assert logged["route"] == "/ask/<int:times>"
    assert logged["queries"] == 2
    assert logged["milliseconds"] >= logged["query_milliseconds"] >= 0
    assert logged["address"] == "127.0.0.1"
    assert "private" not in line


def test_each_response_names_its_request(client: FlaskClient) -> None:
    first, second = (client.get("/").headers["X-Request-ID"] for _ in range(2))

    assert first != second
    forged = client.get("/", headers={"X-Request-ID": "two words"}).headers["X-Request-ID"]
    assert forged != "two words"


def test_health_is_not_logged(client: FlaskClient, capsys: Captured) -> None:
    client.get("/healthz")
    client.get("/readyz")

    assert capsys.readouterr().err == ""


def test_a_request_for_another_host_is_logged(new_app: NewApp, capsys: Captured) -> None:
    app = new_app(TRUSTED_HOSTS=["example.com"])

    app.test_client().get("/", base_url="http://example.net")

    assert json.loads(capsys.readouterr().err)["status"] == 400


def test_an_error_is_logged_with_its_traceback(new_app: NewApp, capsys: Captured) -> None:
    app = new_app()
    app.testing = False

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("why")

    app.test_client().get("/broken")

    error, request = map(json.loads, capsys.readouterr().err.splitlines())
    assert "RuntimeError: why" in error["exc_info"]
    assert error["request_id"] == request["request_id"]


@pytest.mark.parametrize(
    "message", [("refused: 'secret'",), ("refused\nDETAIL:  Failing row contains (secret)",), ()]
)
def test_what_a_database_says_about_values_is_not_logged(
    new_app: NewApp, capsys: Captured, message: tuple[str, ...]
) -> None:
    app = new_app()
    app.testing = False

    @app.get("/broken")
    def broken() -> str:
        raise IntegrityError("INSERT", {}, sqlite3.IntegrityError(*message)) from None

    app.test_client().get("/broken")

    logged = capsys.readouterr().err
    assert "IntegrityError" in logged
    assert "secret" not in logged
    assert ("refused" in logged) == bool(message)


def test_a_path_breaks_no_line(new_app: NewApp, capsys: Captured) -> None:
    new_app().test_client().get("/a%0aINFO forged")

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_secrets_are_redacted(new_app: NewApp, capsys: Captured) -> None:
    url = make_url("postgresql+psycopg://user@127.0.0.1:9/nothing").set(password='"secret" word')
    new_app(SECRET_KEY="long enough", MIGRATION_DATABASE_URL=url, SMTP_PASSWORD="also enough")

    logging.warning("long enough, also enough, %s and %s", '"secret" word', "mysql://a:b@c/d")
    logging.warning(url.render_as_string(hide_password=False))

    logged = capsys.readouterr().err
    assert not any(secret in logged for secret in ("enough", "secret", "a:b@"))
    assert "mysql://a:***@c/d" in logged


@pytest.mark.parametrize("text", ["://a:" * 30_000, "://" + "a:" * 75_000, "://a:" + "b" * 150_000])
def test_a_long_text_is_logged_at_once(text: str, capsys: Captured) -> None:
    started = time.perf_counter()
    logging.warning(text)

    assert time.perf_counter() - started < 1
    assert text in capsys.readouterr().err


@pytest.fixture
def development(monkeypatch: pytest.MonkeyPatch, new_app: NewApp) -> FlaskClient:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = new_app(SLOW_QUERY=1e-9)

    @app.get("/loop")
    def loop() -> str:
        db.session.execute(text("SELECT 1"))
        return ""

    return app.test_client()


def test_in_development_lines_are_readable(development: FlaskClient, capsys: Captured) -> None:
    capsys.readouterr()
    development.get("/loop")

    assert "INFO    GET /loop 200 in " in capsys.readouterr().err


def test_slow_queries_are_named(development: FlaskClient, capsys: Captured) -> None:
    development.get("/loop")

    logged = capsys.readouterr().err
    assert "A query took 0.0 s: SELECT" in logged
