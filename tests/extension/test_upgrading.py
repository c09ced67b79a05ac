"""Upgrades under fire: many at once, killed in the middle, behind another's lock. Real servers."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from alembic import command
from apps import Site, notes, on_mysql, on_postgresql, on_servers, on_sqlite
from conftest import ROUNDS, TEMPLATE, run
from flask_safe_migrations import pending_revisions
from flask_safe_migrations._lock import MYSQL_NAME
from reliability import report
from servers import engine_of, snapshot
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from upgrades import SCRIPT, add_several, succeed


@pytest.fixture
def bare_site(empty_site: Site) -> Site:
    """An application without models and revisions, as other processes have it, too."""
    empty_site.script(SCRIPT)
    empty_site.load()
    empty_site.flask("init")
    return empty_site


@pytest.mark.thorough
def test_of_many_upgrades_at_once_one_does_the_work(bare_site: Site) -> None:
    site = bare_site
    site.execute("CREATE TABLE applied (number INTEGER NOT NULL)")
    names = [f"slow_{number}" for number in range(3)]
    for number, name in enumerate(names):
        site.add_revision(
            name,
            f"""
            op.create_table("{name}", sa.Column("id", sa.Integer(), primary_key=True))
            time.sleep(0.1)
            op.execute("INSERT INTO applied VALUES ({number})")
            """,
            f'op.drop_table("{name}")',
        )

    site.load(TABLES=" ".join(names))
    for _ in range(ROUNDS):
        succeed(site.start("app.py", "12", TABLES=" ".join(names)))

        assert site.rows("SELECT number FROM applied ORDER BY number") == [(0,), (1,), (2,)]
        site.flask("check")
        site.flask("downgrade", "base")
        site.execute("DELETE FROM applied")
    report(
        "Two at once",
        "twelve upgrades of the same database",
        "one does the work, the others find nothing to do",
        tries=ROUNDS,
        ordinary=3,
        on=site.kind,
    )


@pytest.mark.thorough
def test_an_upgrade_that_is_killed_is_finished_by_the_next(bare_site: Site) -> None:
    site = bare_site
    add_several(site)
    letters = {f"{letter}_{number}" for letter in "ab" for number in range(5)}
    rows = [(1, "x"), (2, "y"), (3, "z")]
    succeed(site.start("app.py", "again"))
    random.seed(1)
    tries = 20 if ROUNDS >= 20 else 6
    for number in range(tries):
        with site.start("app.py", "again") as upgrade:
            assert upgrade.stdout
            while (line := upgrade.stdout.readline()) != "ready\n":
                assert line
            time.sleep(random.random() * 0.6)  # noqa: S311
            upgrade.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        site.flask("upgrade")

        found = snapshot(site.url)
        assert {*found} == letters | {"alembic_version"}  # and nothing that says how far it is
        for table in (f"a_{number}" for number in range(5)):
            assert site.rows(f"SELECT id, word FROM {table} ORDER BY id") == rows
    report(
        "Interruptions",
        "TERM or KILL to an upgrade, at any moment",
        "finished by the next one, no row lost",
        tries=tries,
        ordinary=6,
        on=site.kind,
    )


@on_mysql
def test_an_interrupted_revision_that_was_edited_since_is_not_continued(bare_site: Site) -> None:
    site = bare_site
    create = 'op.create_table("{}", sa.Column("id", sa.Integer()))'
    site.add_revision(
        "broken", f'{create.format("one")}\n{create.format("two")}\nop.execute("no SQL")'
    )
    assert "The statement was: no SQL" in site.fail("upgrade")
    (path,) = site.revisions()
    site.edit(path, '"two"', '"three"')

    said = site.fail("upgrade")

    assert "The upgrade from revision base was interrupted" in said
    assert "its revision was edited since" in said
    site.edit(path, '"three"', '"two"')
    site.edit(path, "no SQL", "SELECT 1")
    site.flask("upgrade")
    assert site.tables() == {"alembic_version", "one", "two"}


@on_mysql
def test_a_backfill_in_batches_that_is_killed_loses_no_row_on_mysql(site: Site) -> None:
    site.script(SCRIPT)
    rows = ", ".join(f"('{number}', '')" for number in range(100))
    site.execute(f"INSERT INTO note (title, body) VALUES {rows}")
    site.add_revision(
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
    filled = "SELECT count(*) FROM note WHERE body = 'x'"
    with site.start("app.py", "upgrade") as upgrade:
        while site.rows(filled) == [(0,)]:
            time.sleep(0.05)
        time.sleep(0.3)
        upgrade.kill()
    assert site.rows(filled) != [(100,)]

    site.flask("upgrade")

    assert site.rows(filled) == [(100,)]
    assert "(head)" in site.flask("current")


@pytest.fixture
def foreign_keys() -> Iterator[None]:
    """Have SQLite enforce foreign keys in the whole process, as SQLAlchemy's documentation has it."""

    def enforce(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    event.listen(Engine, "connect", enforce)
    yield
    event.remove(Engine, "connect", enforce)


@on_sqlite
@pytest.mark.usefixtures("foreign_keys")
def test_sqlite_keeps_the_children_of_a_table_that_is_copied(site: Site) -> None:
    site.execute(
        "INSERT INTO note (id, title, body) VALUES (1, 'a', 'b')",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
        " INSERT INTO tag (id, name) SELECT i, 'tag ' || i FROM n",
        "INSERT INTO note_tag (note_id, tag_id) SELECT 1, id FROM tag",
    )
    site.new_app(partial(notes, title=150))
    site.flask("migrate", "-m", "shorter titles", "-x", "narrow=note.title")
    site.flask("upgrade")

    assert site.rows("SELECT count(*) FROM note_tag") == [(10_000,)]
    assert site.rows("PRAGMA foreign_key_check") == []
    assert "VARCHAR(150)" in str(inspect(engine_of(site.url)).get_columns("note")[1]["type"])


def test_a_revision_that_fails_leaves_those_before_it(site: Site) -> None:
    first = site.add_revision("good", 'op.create_table("good", sa.Column("id", sa.Integer()))')
    bad = """
        op.create_table("bad", sa.Column("id", sa.Integer()))
        op.execute("this is no SQL")
        """
    site.add_revision("bad", bad)

    assert "The statement was: this is no SQL" in site.fail("upgrade")

    assert first in site.flask("current")
    if site.kind != "mysql":
        assert "bad" not in site.tables()

    site.edit(site.revisions()[-1], "this is no SQL", "SELECT 1")
    site.flask("upgrade")
    assert "bad" in site.tables()
    assert "(head)" in site.flask("current")


@on_sqlite
def test_sqlite_refuses_a_revision_that_orphans_rows(site: Site) -> None:
    site.fill()
    site.add_revision("orphans", 'op.execute("DELETE FROM tag")')

    said = site.fail("upgrade")

    assert "a row in table note_tag that refers to a missing row in tag" in said
    assert site.rows("SELECT count(*) FROM tag") == [(1,)]


@on_servers
def test_behind_an_open_transaction_an_upgrade_ends_in_time_and_readers_go_on(site: Site) -> None:
    site.add_revision(
        "column", 'op.add_column("note", sa.Column("extra", sa.Integer(), nullable=True))'
    )
    waits: list[float] = []
    over = threading.Event()
    engine = engine_of(site.url)

    def read() -> None:
        while not over.wait(0.05):
            with engine.connect() as connection:
                started = time.monotonic()
                connection.execute(text("SELECT count(*) FROM note"))
                waits.append(time.monotonic() - started)

    site.new_app(MIGRATION_LOCK_TIMEOUT=3)
    with engine.connect() as connection:
        connection.execute(text("SELECT * FROM note"))  # and the transaction stays open
        reader = threading.Thread(target=read)
        reader.start()
        started = time.monotonic()
        said = site.fail("upgrade")
        took = time.monotonic() - started
        over.set()
        reader.join()

    assert "ock" in said
    assert 2 < took < 3 + 6  # the limit, and the time to give up
    assert max(waits) < 2
    site.flask("upgrade")
    assert "(head)" in site.flask("current")


def test_one_that_waits_too_long_says_who_migrates(site: Site) -> None:
    site.script(SCRIPT)
    site.add_revision("slow", "op.execute('DELETE FROM note'); time.sleep(4)")
    site.new_app(MIGRATION_WAIT=1)
    with site.start("app.py", "upgrade", PYTHONUNBUFFERED="1") as first:
        wait_for_holder(site)
        said = site.fail("upgrade")
        output, _ = first.communicate()

    assert first.returncode == 0, output
    expected = {
        "sqlite": "database is locked",
        "postgresql": r"Another process is migrating this database: process \d+ of user postgres from 127",
        "mysql": r"Another process is migrating this database: connection \d+ of user root from ",
    }[site.kind]
    assert re.search(expected, said), said
    assert "(head)" in site.flask("current")


def wait_for_holder(site: Site) -> None:
    """Wait until another process migrates."""
    held = {
        "postgresql": "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid"
        " WHERE locktype = 'advisory' AND datname = current_database()",
        "mysql": f"SELECT IS_USED_LOCK({MYSQL_NAME}) IS NOT NULL",
        "sqlite": "BEGIN IMMEDIATE",
    }
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with create_engine(site.url, poolclass=NullPool).connect() as connection:
                if site.kind == "sqlite":
                    connection.exec_driver_sql("PRAGMA busy_timeout=0")
                found = connection.exec_driver_sql(held[site.kind])
                if found.returns_rows and found.scalar():
                    return
        except OperationalError:  # SQLite: the database is locked
            return
        time.sleep(0.02)
    raise AssertionError("no process migrates")


@on_postgresql
def test_an_invalid_index_of_postgresql_is_named(site: Site) -> None:
    with engine_of(site.url).connect().execution_options(isolation_level="AUTOCOMMIT") as it:
        it.execute(text("INSERT INTO note (title, body) VALUES ('a', ''), ('a', '')"))
        with pytest.raises(Exception, match="could not create unique index"):
            it.execute(text("CREATE UNIQUE INDEX CONCURRENTLY ix_broken ON note (title)"))

    assert "Index ix_broken of table note is invalid" in site.flask("upgrade")


@on_sqlite
def test_migrations_go_past_the_pooler(site: Site, new_uri: Callable[[str], str]) -> None:
    direct = new_uri("sqlite")
    site.new_app(MIGRATION_DATABASE_URL=direct)

    site.flask("upgrade")

    assert "note" in snapshot(direct)


@on_servers
def test_a_statement_of_a_migration_may_be_limited(site: Site) -> None:
    slow = {"postgresql": "SELECT pg_sleep(5)", "mysql": "SELECT SLEEP(5) FROM note"}[site.kind]
    site.fill()
    site.add_revision("slow", f'op.execute("{slow}")')
    site.new_app(MIGRATION_STATEMENT_TIMEOUT=0.2)

    started = time.monotonic()
    said = site.fail("upgrade")

    assert f"The statement was: {slow}" in said
    assert time.monotonic() - started < 4


def test_a_database_that_has_an_unknown_revision_is_left_alone(site: Site) -> None:
    site.execute("UPDATE alembic_version SET version_num = 'from_tomorrow'")

    for arguments in (["upgrade"], ["current"], ["migrate"]):
        said = site.fail(*arguments)
        assert "is at revision from_tomorrow, which is not in migrations/versions." in said
    site.flask("stamp", "--purge", "head")
    assert "(head)" in site.flask("current")


def test_tables_of_the_same_names_are_left_alone(
    site: Site, new_site: Callable[[str], Site]
) -> None:
    other = new_site(site.url)
    other.new_app()
    other.flask("init")
    other.flask("migrate", "-m", "first")
    site.execute("DELETE FROM alembic_version")

    said = other.fail("upgrade")

    assert "already has tables of the models" in said
    assert "note, note_tag, tag. Nothing was changed." in said
    other.flask("stamp", "head")
    other.flask("check")


def test_the_sql_of_an_upgrade_can_be_printed(site: Site) -> None:
    printed = site.flask("upgrade", "--sql")

    assert "CREATE TABLE note (" in printed
    assert "INSERT INTO alembic_version" in printed


@on_sqlite
def test_a_connection_that_a_test_gives_is_used(site: Site) -> None:
    """As pytest-alembic gives an engine, and Alembic's cookbook a connection."""
    site.add_revision("more", 'op.create_table("more", sa.Column("id", sa.Integer()))')
    with site.app.app_context():
        config = site.app.extensions["migrate"].migrate.get_config()
        engine = site.app.extensions["migrate"].db.engine
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        assert pending_revisions() == []
        config.attributes["connection"] = engine
        command.downgrade(config, "-1")
        assert len(pending_revisions()) == 1


PYTEST_ALEMBIC = """
import pytest
from app import create_app
from pytest_alembic.config import Config
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)


@pytest.fixture
def alembic_config():
    return Config.from_raw_config({"script_location": "migrations"})


@pytest.fixture
def alembic_engine():
    app = create_app()
    with app.app_context():
        yield app.extensions["migrate"].db.engine
        app.extensions["migrate"].db.engine.dispose()
"""


@pytest.mark.thorough
def test_the_tests_of_pytest_alembic_pass(bare_site: Site) -> None:
    site = bare_site
    create = 'op.create_table("{}", sa.Column("id", sa.Integer(), primary_key=True))'
    site.add_revision("kept", create.format("kept"), 'op.drop_table("kept")')
    site.add_revision("more", create.format("more"), 'op.drop_table("more")')
    site.add_revision("less", 'op.drop_table("more")', create.format("more"))
    (site.folder / "test_alembic.py").write_text(PYTEST_ALEMBIC)
    command = "uv run --no-sync --with pytest-alembic python -m pytest -W default"
    options = "-p no:cacheprovider -p no:pytest_alembic_tests test_alembic.py"

    done = run(
        [*command.split(), *options.split(), "-o", "pytest_alembic_tests_path=none"],
        cwd=site.folder,
        env=site.env | {"TABLES": "kept", "PYTHONPATH": ".", "UV_PROJECT": str(TEMPLATE)},
    )

    assert "4 passed" in done.stdout, done.stdout
