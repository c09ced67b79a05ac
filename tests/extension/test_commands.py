"""The commands beside Flask-Migrate's own: prepare, seed, reset, lint; and `flask --help`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import servers
from apps import Site, invoke, on_postgresql, on_servers, on_sqlite
from conftest import run
from flask import current_app
from servers import Server
from sqlalchemy import make_url, text

# For other processes.
SCRIPT = """
import os

from flask import Flask
from flask_safe_migrations import SafeMigrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text


def seed():
    db.session.execute(text("INSERT INTO note (title, body) VALUES ('seed', '')"))
    db.session.commit()


app = Flask("app", root_path=os.getcwd(), instance_path=os.getcwd())
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db = SQLAlchemy(app)
SafeMigrate(app, db, seed=seed)
"""


def seed() -> None:
    db = current_app.extensions["migrate"].db
    db.session.execute(text("INSERT INTO note (title, body) VALUES ('seed', '')"))
    db.session.commit()


def count(site: Site) -> object:
    return site.rows("SELECT count(*) FROM note")[0][0]


@pytest.fixture
def seeded_site(empty_site: Site) -> Site:
    """An application with a revision that is not applied, and with a function that seeds."""
    empty_site.new_app(options={"seed": seed})
    empty_site.flask("init")
    empty_site.flask("migrate")
    return empty_site


def test_prepare_upgrades_and_seeds_a_new_database_once(seeded_site: Site) -> None:
    site = seeded_site
    assert "Seeded it." in site.flask("prepare")
    site.add_revision("more", "pass")
    again = site.flask("prepare")
    assert "Running upgrade" in again
    assert "Seeded it." not in again
    assert count(site) == 1
    site.flask("seed")
    assert count(site) == 2


def test_of_two_that_prepare_at_once_one_seeds(seeded_site: Site) -> None:
    site = seeded_site
    site.add_revision("slow", "time.sleep(0.5)")
    site.script(SCRIPT)

    both = [site.start("-m", "flask", "db", "prepare") for _ in range(2)]

    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert "".join(outputs).count("Seeded it.") == 1
    assert count(site) == 1


@on_servers
def test_prepare_creates_a_database_that_is_missing(
    seeded_site: Site, kind: str, request: pytest.FixtureRequest
) -> None:
    site = seeded_site
    server: Server = request.getfixturevalue(kind)
    name = server.name_to_drop()
    site.url = servers.driver_named(server.uri(name))
    site.new_app(options={"seed": seed})

    said = site.fail("upgrade")
    assert f"There is no database {name} on 127.0.0.1" in said
    assert "To create it, run: flask db prepare" in said
    done = site.flask("prepare")
    assert f"Created the database {name} on 127.0.0.1" in done
    assert "Seeded it." in done
    assert "Created" not in site.flask("prepare")
    assert "(head)" in site.flask("current")


def test_prepare_says_why_it_cannot(new_site: Callable[[str], Site]) -> None:
    site = new_site("sqlite:////no/such/app.db")
    site.new_app()

    assert "Create its folder, /no/such" in site.fail("prepare")


@on_sqlite
def test_a_database_in_memory_is_prepared_like_any_other(
    seeded_site: Site, new_site: Callable[[str], Site]
) -> None:
    seeded_site.new_app(options={"seed": seed}, SQLALCHEMY_DATABASE_URI="sqlite://")

    assert "Seeded it." in seeded_site.flask("prepare")
    assert "Seeded it." not in seeded_site.flask("prepare")
    assert "(head)" in seeded_site.flask("current")


@on_sqlite
def test_seed_says_what_is_missing(site: Site) -> None:
    assert "SafeMigrate(app, db, seed=function)" in site.fail("seed")


def test_reset_begins_again_in_development_only(seeded_site: Site) -> None:
    site = seeded_site
    site.flask("prepare")
    site.flask("seed")

    said = site.fail("reset", "--yes")
    assert "requires debug mode: flask --debug db reset" in said
    assert str(make_url(site.url).database) in said
    assert count(site) == 2

    site.new_app(options={"seed": seed}, DEBUG=True)
    assert "Aborted!" in site.run("reset", answer="n\n").text
    assert count(site) == 2
    assert site.run("reset", answer="y\n").code == 0
    assert count(site) == 1
    site.new_app(DEBUG=True)
    site.flask("reset", "--yes")
    assert count(site) == 0


@on_postgresql
def test_lint_on_postgresql_says_how_to_install_what_it_needs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/bin/python")
    monkeypatch.setenv("PATH", "")

    assert "pip install squawk-cli" in site.fail("lint")


@on_sqlite
def test_ruff_formats_revisions_where_it_is_installed(
    empty_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_site.flask("init")
    monkeypatch.setattr("flask_safe_migrations._extension.find_spec", lambda name: None)
    empty_site.flask("migrate")
    assert "sa.Column('id'" in empty_site.revisions()[0].read_text()

    monkeypatch.undo()
    empty_site.revisions()[0].unlink()
    empty_site.flask("migrate")
    assert 'sa.Column("id"' in empty_site.revisions()[0].read_text()


@on_sqlite
def test_an_application_without_it_says_so(site: Site) -> None:
    del site.app.extensions["safe_migrations"]

    with pytest.raises(RuntimeError, match="This application has no SafeMigrate"):
        invoke(site.app, "db", "lint")


@pytest.mark.parametrize("arguments", [["--help"], ["db", "--help"]])
def test_the_commands_are_listed_although_the_application_is_broken(
    tmp_path: Path, arguments: list[str]
) -> None:
    """The entry point imports no application, so a mistake in it is only Flask's to report."""
    (tmp_path / "app.py").write_text("def create_app(:\n")

    done = run([sys.executable, "-m", "flask", *arguments], cwd=tmp_path, env={})

    assert done.returncode == 0
    assert ("prepare" if "db" in arguments else "Perform database migrations") in done.stdout
    assert "flask_safe_migrations" not in done.stdout


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def unfinished(:\n", "Error: invalid syntax (/"),
        ("import nothing_here\n", "Error: ModuleNotFoundError: No module named 'nothing_here'"),
        ("app = None\n", "Error: Failed to find Flask application"),
    ],
)
def test_an_application_that_cannot_be_imported_is_explained_in_one_line(
    code: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(code)

    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "shop", "db", "current"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(says)
    assert "Traceback" not in done.stderr
