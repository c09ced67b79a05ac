"""Projects on each of the three databases: their own tests, and what was generated for them."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Callable

import pytest
from conftest import SCRIPTS, Project, User, checks_at_the_desk
from reliability import report
from servers import KINDS, driver_named, engine_of, snapshot

pytestmark = pytest.mark.thorough

Make = Callable[[str], tuple[Project, str]]

ISOLATION = '''
import pytest
from flask import Flask
from flask.testing import FlaskClient
from forms import submit
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from my_app.database import db
from my_app.notes.models import Note, Tag


def count() -> int:
    return db.session.scalar(select(func.count()).select_from(Tag)) or 0


@pytest.fixture(params=range(3), autouse=True)
def nothing_is_left(app: Flask, request: pytest.FixtureRequest) -> None:
    """Each test runs three times, and finds an empty table each time."""
    with app.app_context():
        assert count() == 0


def test_commit(app: Flask) -> None:
    with app.app_context():
        db.session.add(Tag(name="a"))
        db.session.commit()
    with app.app_context():
        assert count() == 1


def test_rollback_after_commit(app: Flask) -> None:
    with app.app_context():
        db.session.add(Tag(name="a"))
        db.session.commit()
        db.session.add(Tag(name="b"))
        db.session.rollback()
        assert count() == 1


def test_integrity_error(app: Flask) -> None:
    with app.app_context():
        db.session.add(Tag(name="a"))
        db.session.commit()
        db.session.add(Tag(name="a"))
        with pytest.raises(IntegrityError):
            db.session.commit()
        db.session.rollback()
        db.session.add(Tag(name="b"))
        db.session.commit()
        assert count() == 2


def test_nested_transactions(app: Flask) -> None:
    with app.app_context():
        db.session.add(Tag(name="a"))
        with pytest.raises(IntegrityError), db.session.begin_nested():
            db.session.add(Tag(name="a"))
            db.session.flush()
            db.session.add(Tag(name="a"))
            db.session.flush()
        assert count() == 0 or db.session.rollback() is None
        with db.session.begin_nested() as inner:
            db.session.add(Tag(name="c"))
            inner.rollback()
        db.session.add(Tag(name="d"))
        db.session.commit()
        assert count() >= 1


def test_several_requests(app: Flask, client: FlaskClient) -> None:
    for title in ("one", "two"):
        submit(client, "/notes/new", title=title, tags="a")
    assert client.get("/notes").text.count("<tr>") == 1 + 2  # with the headings
    with app.app_context():
        db.session.execute(text("DELETE FROM note_tag"))
        db.session.commit()
        assert count() == 1
'''


@pytest.mark.parametrize("kind", KINDS)
def test_the_projects_tests_run_on_its_database_and_leave_it_unchanged(
    kind: str, on: Callable[[str], tuple[Project, str]], request: pytest.FixtureRequest
) -> None:
    project, uri = on(kind)
    engine = engine_of(uri)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO note (title, body) VALUES ('mine', 'to be kept')")
        connection.exec_driver_sql("INSERT INTO tag (name) VALUES ('mine')")
    before = snapshot(uri)
    (project.path / "tests" / "test_isolation.py").write_text(ISOLATION)

    output = project.succeed(
        "uv", "run", "pytest", "tests/test_isolation.py", "tests/test_note_api.py"
    )
    assert f"database: {engine.url.drivername}, beside " in output
    project.succeed("uv", "run", "pytest", "-n", "2")

    assert snapshot(uri) == before
    if kind != "sqlite":
        with request.getfixturevalue(kind).connect() as connection:
            names = (
                engine.dialect.get_schema_names(connection)
                if kind == "mysql"
                else [
                    name
                    for (name,) in connection.exec_driver_sql("SELECT datname FROM pg_database")
                ]
            )
        assert [name for name in names if name.startswith(f"{engine.url.database}_")] == []


def test_the_initial_revision_serves_every_database(
    on: Callable[[str], tuple[Project, str]],
    new_uri: Callable[[str], str],
) -> None:
    """tests/extension/test_autogenerate.py has those that are made on the other databases."""
    project, _ = on("sqlite")
    for kind in KINDS:
        elsewhere = Project(
            project.path,
            {
                **project.env,
                "SECRET_KEY": secrets.token_hex(),
                "DATABASE_URL": driver_named(new_uri(kind)),
            },
        )
        drivers = ["--with", "psycopg[binary]", "--with", "pymysql[rsa]"]
        elsewhere.succeed(
            "uv", "run", *drivers, "python", "-W", "error", str(SCRIPTS / "life_cycle.py")
        )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:////no/such/app.db", "Create its folder, /no/such"),
        ("postgresql+psycopg://h/d", "can't be imported"),
        ("magic://h/d", "The driver of magic"),
        ("nonsense", "It can't be read"),
        ("sqlite+aiosqlite:///x.db", "an asynchronous driver"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_explained(
    project: Project, url: str, says: str
) -> None:
    mistaken = Project(project.path, {**project.env, "DATABASE_URL": url})

    done = mistaken.run("uv", "run", "flask", "db", "upgrade")

    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("kind", "accounts"), [("sqlite", "yes"), ("postgresql", "no"), ("mysql", "no")]
)
def test_the_oldest_packages_that_are_allowed_will_do(
    kind: str, accounts: str, new_uri: Callable[[str], str], user: User
) -> None:
    project = user.project(f"database_uri={new_uri(kind)}", f"accounts={accounts}")
    (project.path / "uv.lock").unlink()

    project.succeed("uv", "sync", "--resolution", "lowest-direct")

    bounds = tomllib.loads((project.path / "pyproject.toml").read_text())["project"]["dependencies"]
    (flask,) = (bound for bound in bounds if bound.startswith("flask>="))
    installed = project.succeed("uv", "pip", "freeze")
    assert flask.replace(">=", "==") in installed.lower().splitlines()
    *checks, audit = checks_at_the_desk(project.path)
    assert "audit" in audit
    for check in checks:
        project.succeed("uv", "run", "--no-sync", *check.split())
    report(
        "Supply",
        "the oldest packages that pyproject.toml allows",
        f"{len(bounds)} direct dependencies (accounts={accounts}) at their lower bounds, and the tools of development; {len(checks)}"
        " checks pass, the tests among them",
        on=kind,
    )
