"""Upgrades under fire: many at once, killed in the middle, behind somebody's lock. Real servers.

The number of rounds is small here; ROUNDS=50 in the environment is what the claims rest on.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from conftest import MODELS, ROUNDS, SCRIPTS, Project
from reliability import report
from servers import KINDS, engine_of
from sqlalchemy import inspect, text

Make = Callable[[str], tuple[Project, str]]


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_upgrades_at_once_one_does_the_work(kind: str, on: Make) -> None:
    project, uri = on(kind)
    with engine_of(uri).begin() as connection:
        connection.execute(text("CREATE TABLE applied (number INTEGER NOT NULL)"))
    for number in range(3):
        project.add_revision(
            f"slow_{number}",
            f"""
            op.create_table("slow_{number}", sa.Column("id", sa.Integer(), primary_key=True))
            time.sleep(0.1)
            op.execute("INSERT INTO applied VALUES ({number})")
            """,
            f'op.drop_table("slow_{number}")',
        )
    project.replace(
        "src/my_app/notes/models.py",
        "class Tag(Base):",
        "for number in range(3):\n"
        '    Table(f"slow_{number}", Base.metadata, Column("id", Integer, primary_key=True))\n\n\n'
        "class Tag(Base):",
    )
    project.replace(MODELS, "Index, String", "Index, Integer, String")
    project.flask("db", "upgrade")

    script = str(SCRIPTS / "storm.py")
    result = json.loads(
        project.succeed("uv", "run", "python", script, str(ROUNDS), "12").splitlines()[-1]
    )

    assert result["codes"] == [0] * 12 * ROUNDS
    assert result["applied"] == [[0, 1, 2]] * ROUNDS
    report(
        "Two at once",
        "twelve upgrades of the same database",
        "one does the work, the others find nothing to do",
        tries=ROUNDS,
        ordinary=3,
        on=kind,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_upgrade_that_is_killed_is_finished_by_the_next(kind: str, on: Make) -> None:
    project, uri = on(kind)
    for number in range(5):
        project.add_revision(
            f"several_{number}",
            f"""
            op.create_table("a_{number}", sa.Column("id", sa.Integer(), primary_key=True))
            op.execute("INSERT INTO a_{number} VALUES (1)")
            time.sleep(0.02)
            op.add_column("a_{number}", sa.Column("word", sa.String(20), nullable=True))
            op.execute("UPDATE a_{number} SET word = 'x'")
            op.execute("INSERT INTO a_{number} VALUES (2, 'y')")
            op.create_index("ix_a_{number}", "a_{number}", ["word"])
            time.sleep(0.02)
            op.execute("INSERT INTO a_{number} VALUES (3, 'z')")
            op.create_table("b_{number}", sa.Column("id", sa.Integer(), primary_key=True))
            """,
            f"""
            op.drop_table("b_{number}")
            op.drop_table("a_{number}")
            """,
        )
    program = (
        "import sys, flask_migrate; from my_app import create_app\n"
        "with create_app().app_context():\n"
        "    flask_migrate.downgrade(revision='base')\n"
        "    print('ready', flush=True)\n"
        "    flask_migrate.upgrade()"
    )
    expected = ["a_0", "a_1", "a_2", "a_3", "a_4", "b_0", "b_1", "b_2", "b_3", "b_4"]
    python = project.path / ".venv" / "bin" / "python"
    project.succeed(str(python), "-c", program)
    random.seed(1)
    tries = 20 if ROUNDS >= 20 else 6
    for number in range(tries):
        with subprocess.Popen(
            [str(python), "-c", program],
            cwd=project.path,
            env=project.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as upgrade:
            assert upgrade.stdout
            upgrade.stdout.readline()
            time.sleep(random.random() * 0.6)  # noqa: S311
            upgrade.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        project.flask("db", "upgrade")

        with engine_of(uri).connect() as connection:
            tables = inspect(connection).get_table_names()
            assert sorted(table for table in tables if re.match("[ab]_", table)) == expected
            for table in expected[:5]:
                rows = connection.execute(text(f"SELECT id, word FROM {table} ORDER BY id")).all()
                assert [tuple(row) for row in rows] == [(1, "x"), (2, "y"), (3, "z")]
            assert "alembic_unfinished" not in tables
    report(
        "Interruptions",
        "TERM or KILL to an upgrade, at any moment",
        "finished by the next one, no row lost",
        tries=tries,
        ordinary=6,
        on=kind,
    )


def test_a_backfill_in_batches_that_is_killed_loses_no_row_on_mysql(on: Make) -> None:
    project, uri = on("mysql")
    with engine_of(uri).begin() as connection:
        for number in range(100):
            row = f"INSERT INTO note (title, body) VALUES ('{number}', '')"
            connection.execute(text(row))
    project.add_revision(
        "fill",
        """
        connection = op.get_bind()
        with op.get_context().autocommit_block():
            while ids := connection.scalars(
                sa.text("SELECT id FROM note WHERE body = '' ORDER BY id LIMIT 5")
            ).all():
                connection.execute(
                    sa.text("UPDATE note SET body = 'x' WHERE id BETWEEN :a AND :b"),
                    {"a": ids[0], "b": ids[-1]},
                )
                time.sleep(0.1)
        """,
    )
    filled = text("SELECT count(*) FROM note WHERE body = 'x'")
    with project.start("flask", "db", "upgrade", stderr=subprocess.DEVNULL) as upgrade:
        with engine_of(uri).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.scalar(filled):
                time.sleep(0.05)
        time.sleep(0.5)
        upgrade.kill()

    project.flask("db", "upgrade")

    with engine_of(uri).connect() as connection:
        assert connection.scalar(filled) == 100
    assert "(head)" in project.flask("db", "current")


def test_sqlite_keeps_the_children_of_a_table_that_is_made_anew(on: Make) -> None:
    project, uri = on("sqlite")
    with engine_of(uri).begin() as connection:
        connection.execute(text("INSERT INTO note (id, title, body) VALUES (1, 'a', 'b')"))
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
                " INSERT INTO tag (id, name) SELECT i, 'tag ' || i FROM n"
            )
        )
        connection.execute(text("INSERT INTO note_tag (note_id, tag_id) SELECT 1, id FROM tag"))
    project.replace(MODELS, "mapped_column(String(200))", "mapped_column(String(150))")
    project.flask("db", "migrate", "-m", "shorter titles")
    project.flask("db", "upgrade")

    with engine_of(uri).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM note_tag")) == 10_000
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    assert "VARCHAR(150)" in str(inspect(engine_of(uri)).get_columns("note")[1]["type"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_revision_that_fails_leaves_those_before_it(kind: str, on: Make) -> None:
    project, uri = on(kind)
    first = project.add_revision("good", 'op.create_table("good", sa.Column("id", sa.Integer()))')
    bad = """
        op.create_table("bad", sa.Column("id", sa.Integer()))
        op.execute("this is no SQL")
        """
    project.add_revision("bad", bad)

    done = project.run("uv", "run", "flask", "db", "upgrade")

    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "The statement was: this is no SQL" in done.stdout
    assert first in project.flask("db", "current")
    if kind != "mysql":
        assert "bad" not in inspect(engine_of(uri)).get_table_names()

    path = project.revisions()[-1]
    path.write_text(path.read_text().replace("this is no SQL", "SELECT 1"))
    project.flask("db", "upgrade")
    assert "bad" in inspect(engine_of(uri)).get_table_names()
    assert "(head)" in project.flask("db", "current")


def test_sqlite_refuses_a_revision_that_orphans_rows(on: Make) -> None:
    project, uri = on("sqlite")
    with engine_of(uri).begin() as connection:
        connection.execute(text("INSERT INTO note (id, title, body) VALUES (1, 'a', 'b')"))
        connection.execute(text("INSERT INTO tag (id, name) VALUES (1, 'a')"))
        connection.execute(text("INSERT INTO note_tag VALUES (1, 1)"))
    project.add_revision("orphans", 'op.execute("DELETE FROM tag")')

    done = project.run("uv", "run", "flask", "db", "upgrade")

    assert done.returncode == 1
    assert "a row in table note_tag that refers to a missing row in tag" in done.stdout
    with engine_of(uri).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM tag")) == 1


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_behind_an_open_transaction_an_upgrade_ends_in_time_and_readers_go_on(
    kind: str, on: Make
) -> None:
    project, uri = on(kind)
    project.add_revision(
        "column",
        'op.add_column("note", sa.Column("extra", sa.Integer(), nullable=True))',
    )
    waits: list[float] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.05):
            with engine_of(uri).connect() as connection:
                started = time.monotonic()
                connection.execute(text("SELECT count(*) FROM note"))
                waits.append(time.monotonic() - started)

    blocked = Project(project.path, {**project.env, "MIGRATION_LOCK_TIMEOUT": "4"})
    with engine_of(uri).connect() as connection:
        connection.execute(text("SELECT * FROM note"))  # and the transaction stays open
        reader = threading.Thread(target=read)
        reader.start()
        started = time.monotonic()
        done = blocked.run("uv", "run", "flask", "db", "upgrade")
        took = time.monotonic() - started
        over.set()
        reader.join()

    assert done.returncode == 1
    assert "ock" in done.stdout
    assert "Traceback" not in done.stdout
    assert took < 4 + 6  # the limit, and the time to start and to give up
    assert max(waits) < 2
    project.flask("db", "upgrade")
    assert "(head)" in project.flask("db", "current")


@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_too_long_is_told_who_migrates(kind: str, on: Make) -> None:
    project, _ = on(kind)
    project.add_revision("slow", "op.execute('DELETE FROM note'); time.sleep(8)")
    impatient = Project(project.path, {**project.env, "MIGRATION_WAIT": "1"})
    with project.start("flask", "db", "upgrade", stderr=subprocess.PIPE) as first:
        assert first.stderr
        while "Running upgrade" not in first.stderr.readline():
            pass
        time.sleep(0.5)
        second = impatient.run("uv", "run", "flask", "db", "upgrade")
        first.stderr.read()

    assert first.returncode == 0
    assert second.returncode == 1
    expected = {
        "sqlite": "database is locked",
        "postgresql": r"Another process migrates this database: process \d+ of user postgres from 127",
        "mysql": r"Another process migrates this database: connection \d+ of user root from ",
    }[kind]
    assert re.search(expected, second.stdout), second.stdout
    assert "Traceback" not in second.stdout


def test_an_invalid_index_of_postgresql_is_named(on: Make) -> None:
    project, uri = on("postgresql")
    with engine_of(uri).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("INSERT INTO note (title, body) VALUES ('a', ''), ('a', '')"))
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute(text("CREATE UNIQUE INDEX CONCURRENTLY ix_broken ON note (title)"))

    assert "Index ix_broken of table note is invalid" in project.flask("db", "upgrade")


def test_migrations_go_past_the_pooler(on: Make, new_uri: Callable[[str], str]) -> None:
    project, _ = on("sqlite")
    direct = new_uri("sqlite")
    env = {**project.env, "MIGRATION_DATABASE_URL": direct}

    Project(project.path, env).flask("db", "upgrade")

    assert "note" in inspect(engine_of(direct)).get_table_names()


PYTEST_ALEMBIC = """
from collections.abc import Callable, Iterator

import pytest
from conftest import TestSettings
from my_app import create_app
from my_app.database import db
from pytest_alembic.config import Config
from pytest_alembic.tests import (  # noqa: F401
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import URL, Engine


@pytest.fixture
def alembic_config() -> Config:
    return Config.from_raw_config({"script_location": "migrations"})


@pytest.fixture
def alembic_engine(new_database: Callable[[str], URL]) -> Iterator[Engine]:
    app = create_app(TestSettings(SECRET_KEY="x", SQLALCHEMY_DATABASE_URI=new_database("alembic")))
    with app.app_context():
        yield db.engine
        db.engine.dispose()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_pytest_alembic_pass(kind: str, on: Make) -> None:
    project, _ = on(kind)
    project.add_revision(
        "more",
        'op.create_table("more", sa.Column("id", sa.Integer(), primary_key=True))',
        'op.drop_table("more")',
    )
    project.add_revision(
        "less",
        'op.drop_table("more")',
        'op.create_table("more", sa.Column("id", sa.Integer(), primary_key=True))',
    )
    (project.path / "tests" / "test_alembic.py").write_text(PYTEST_ALEMBIC)

    output = project.succeed(
        *[
            "uv",
            "run",
            "--with",
            "pytest-alembic",
            "pytest",
            "-W",
            "default",
            "tests/test_alembic.py",
        ],
        *["-p", "no:pytest_alembic_tests", "-o", "pytest_alembic_tests_path=none"],
    )

    assert "4 passed" in output
