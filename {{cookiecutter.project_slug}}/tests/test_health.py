"""What a load balancer sees."""

from __future__ import annotations

import sqlite3

import pytest
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from {{ cookiecutter.project_slug }} import database
from {{ cookiecutter.project_slug }}.database import db
from {{ cookiecutter.project_slug }}.errors import handle_database_error


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
    assert response.json["pending"]


def test_a_database_migrated_by_a_newer_release_is_ready(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(text("UPDATE alembic_version SET version_num = 'from_tomorrow'"))
        db.session.commit()

    assert client.get("/readyz").status_code == 200


def test_code_without_migrations_is_not_ready(
    migrated_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrated_app.extensions["safe_migrations"].migrate, "directory", "nowhere")

    response = migrated_app.test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json == {
        "status": "error",
        "reason": "this code has no migrations",
        "pending": [],
    }


def test_a_database_that_does_not_answer_is_not_ready(new_app: NewApp) -> None:
    nowhere = new_app(SQLALCHEMY_DATABASE_URI="sqlite:////no/folder/app.db")

    response = nowhere.test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json == {
        "status": "error",
        "reason": "the database does not answer",
        "pending": [],
    }


def test_the_health_check_does_not_wait_for_those_who_write(new_app: NewApp) -> None:
    app = new_app()
    with app.app_context():
        engine = db.engine

    with engine.begin():  # locks an SQLite database
        assert app.test_client().get("/readyz").status_code == 200


def test_where_all_connections_are_in_use_a_request_is_answered_503(
    new_app: NewApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_TIMEOUT", 0.1)
    app = new_app(WEB_THREADS=1)
    app.add_url_rule("/asks", view_func=lambda: str(db.session.scalar(text("SELECT 1"))))
    client = app.test_client()

    with app.app_context():
        engine = db.engine
    with engine.connect():
        assert client.get("/asks").text == "1"
        with engine.connect():
            assert [client.get(path).status_code for path in ("/asks", "/healthz")] == [503, 200]
        assert client.get("/asks").text == "1"


def error_of(sql: str | None, *arguments: object, **attributes: str) -> DBAPIError:
    """Return an error of the database, such as a driver raises it."""
    error = sqlite3.OperationalError(*arguments)
    vars(error).update(attributes)
    return OperationalError(sql, None, error)


@pytest.mark.parametrize(
    "error",
    [
        error_of(None),
        PoolTimeout(),
        error_of("INSERT", sqlite_errorname="SQLITE_FULL"),
        error_of("INSERT", sqlstate="57014"),
        error_of("INSERT", sqlstate="25006"),
        error_of("INSERT", 1205, "Lock wait timeout exceeded"),
    ],
    ids=["no connection", "no free connection", "full disk", "canceled", "read-only", "locked"],
)
def test_while_the_database_is_unavailable_a_request_is_answered_503(
    new_app: NewApp, error: Exception
) -> None:
    app = new_app()

    @app.get("/asks")
    def asks() -> str:
        raise error

    response = app.test_client().get("/asks")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "60"
    assert "Database error. Try again" in response.text


def test_an_answer_is_sent_although_the_database_has_gone_since(new_app: NewApp) -> None:
    app = new_app()

    @app.get("/asks")
    def asks() -> str:
        connection = db.session.connection().connection.driver_connection
        assert connection
        connection.close()
        return "answer"

    assert [app.test_client().get("/asks").text for _ in range(2)] == ["answer"] * 2


def test_a_statement_that_is_refused_is_an_error_of_the_application(new_app: NewApp) -> None:
    app = new_app(TESTING=False)

    @app.get("/asks")
    def asks() -> str:
        raise OperationalError("SELECT 1 FROM nothing", None, Exception())

    assert app.test_client().get("/asks").status_code == 500


def test_a_row_that_is_there_already_is_a_conflict(app: Flask) -> None:
    with app.test_request_context():
        with pytest.raises(IntegrityError) as error:
            db.session.execute(text("INSERT INTO alembic_version SELECT * FROM alembic_version"))

        response = app.make_response(handle_database_error(error.value))

        at_commit = handle_database_error(error_of(None, sqlstate="23505"))
        assert app.make_response(at_commit).status_code == 409

    assert response.status_code == 409
    assert "The value is taken" in response.get_data(as_text=True)
