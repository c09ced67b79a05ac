"""What a load balancer sees."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from {{ cookiecutter.project_slug }} import health, overload
from {{ cookiecutter.project_slug }}.database import db, revisions


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


def test_of_two_branches_both_have_to_be_applied(
    migrated_app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = "revision = '{}'\ndown_revision = {}\ndef upgrade() -> None: ...\n"
    (tmp_path / "env.py").touch()
    (tmp_path / "versions").mkdir()
    for name, below in {"a": None, "b": "a", "c": "a", "d": ("b", "c")}.items():
        (tmp_path / "versions" / f"{name}.py").write_text(revision.format(name, repr(below)))
    monkeypatch.setattr(migrated_app.extensions["migrate"], "directory", str(tmp_path))

    def pending(*heads: str) -> list[str]:
        monkeypatch.setattr(revisions, "current", lambda: heads)
        return revisions.pending()

    with migrated_app.app_context():
        assert sorted(pending()) == ["a", "b", "c", "d"]
        assert sorted(pending("b")) == ["c", "d"]
        assert pending("b", "c") == ["d"]
        assert pending("d") == pending("x") == []


def test_without_a_folder_of_revisions_none_is_pending(
    migrated_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrated_app.extensions["migrate"], "directory", "nowhere")
    monkeypatch.setattr(revisions, "current", tuple)

    with migrated_app.app_context():
        assert revisions.pending() == []
    response = migrated_app.test_client().get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "error", "reason": "this code has no migrations"}


def test_a_database_that_does_not_answer_is_not_ready(new_app: NewApp) -> None:
    nowhere = new_app(SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")

    response = nowhere.test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json == {"status": "error", "reason": "the database does not answer"}


def test_a_database_that_hangs_is_not_ready(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(revisions, "pending", over.wait)
    monkeypatch.setattr(health, "PATIENCE", 0.01)

    assert [client.get("/readyz").status_code for _ in range(2)] == [503, 503]
    assert client.get("/healthz").status_code == 200
    over.set()


@pytest.mark.parametrize("queue", [0, 1])
def test_where_all_threads_are_held_up_the_next_request_is_refused(
    new_app: NewApp, queue: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "QUEUE", queue)
    monkeypatch.setattr(overload, "PATIENCE", 0)
    monkeypatch.setattr(overload, "LITTLE_PATIENCE", 0)
    app = new_app(WEB_THREADS=1)
    begun, over = threading.Event(), threading.Event()

    @app.get("/hangs")
    def hangs() -> str:
        begun.set()
        over.wait()
        return "over"

    def status(path: str) -> int:
        return app.test_client().get(path).status_code

    held_up = threading.Thread(target=status, args=("/hangs",))
    held_up.start()
    begun.wait()
    assert [status("/hangs"), status("/healthz")] == [503, 200]

    over.set()
    held_up.join()
    assert status("/hangs") == 200


def full_disk() -> OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    return OperationalError("INSERT", None, error)


@pytest.mark.parametrize(
    "error",
    [OperationalError(None, None, Exception()), PoolTimeout(), full_disk()],
    ids=["no connection", "all connections in use", "full disk"],
)
def test_while_the_database_is_gone_a_request_may_be_tried_again(
    new_app: NewApp, error: Exception
) -> None:
    app = new_app()

    @app.get("/asks")
    def asks() -> str:
        raise error

    response = app.test_client().get("/asks")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "60"
    assert "The database is unavailable." in response.text


def test_an_answer_is_sent_although_the_database_has_gone_since(new_app: NewApp) -> None:
    app = new_app()

    @app.get("/asks")
    def asks() -> str:
        connection = db.session.connection().connection.driver_connection
        assert connection
        connection.close()
        return "answer"

    assert [app.test_client().get("/asks").text for _ in range(2)] == ["answer"] * 2


def test_a_statement_that_the_database_refuses_is_a_mistake_of_ours(new_app: NewApp) -> None:
    app = new_app(TESTING=False)

    @app.get("/asks")
    def asks() -> str:
        raise OperationalError("SELECT 1 FROM nothing", None, Exception())

    assert app.test_client().get("/asks").status_code == 500
