"""`flask db backfill` fills a column in batches, on each database."""

from __future__ import annotations

import re
import time

import pytest
from apps import Site, notes, on_servers
from servers import engine_of
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, text

APP = """
import os

from flask import Flask
from flask_safe_migrations import SafeMigrate
from flask_sqlalchemy import SQLAlchemy

app = Flask("app", root_path=os.getcwd(), instance_path=os.getcwd())
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
SafeMigrate(app, SQLAlchemy(app))
"""
FILLED = "SELECT count(*) FROM note WHERE rank_ IS NOT NULL"


@pytest.fixture
def ranked(site: Site) -> Site:
    """A site whose notes have a column without values."""
    site.new_app(notes_with_rank, MIGRATION_BATCH_PAUSE=0)
    site.flask("migrate", "-m", "rank")
    site.flask("upgrade")
    add_notes(site, 10)
    return site


def notes_with_rank(metadata: MetaData) -> None:
    notes(metadata, Column("rank_", Integer))


def add_notes(site: Site, number: int) -> None:
    rows = ", ".join(f"('{n}', 'a%b')" for n in range(number))
    site.execute(f"INSERT INTO note (title, body) VALUES {rows}")


def test_it_fills_what_has_no_value(ranked: Site) -> None:
    ranked.execute("UPDATE note SET rank_ = 7 WHERE id = 2")

    assert "Filled note.rank_ in 9 rows." in ranked.flask(
        "backfill", "note.rank_", "id * 2", "--batch-size=3"
    )

    assert ranked.rows("SELECT rank_ FROM note ORDER BY id") == [
        (7 if n == 2 else n * 2,) for n in range(1, 11)
    ]
    assert "Filled note.rank_ in 0 rows." in ranked.flask(
        "backfill", "note.rank_", "id * 2", "--batch-size=3"
    )


def test_other_rows_can_be_named(ranked: Site) -> None:
    ranked.execute("UPDATE note SET rank_ = 0")

    where = ("--where", "rank_ = 0 AND body LIKE 'a%'")
    assert "in 10 rows" in ranked.flask("backfill", "note.rank_", "10 % 7 + id", *where)

    assert ranked.rows("SELECT min(rank_), max(rank_) FROM note") == [(4, 13)]


def test_what_cannot_be_filled_is_explained(ranked: Site) -> None:
    assert "There is no table for 'rank_'" in ranked.fail("backfill", "rank_", "0")
    assert "as in note.rank" in ranked.fail("backfill", "notes.rank_", "0")
    said = ranked.fail("backfill", "note.rank", "0")
    assert "No column rank in note. Columns: id, title, body, rank_." in said
    assert "nowhere" in ranked.fail("backfill", "note.rank_", "nowhere")
    ranked.execute("CREATE TABLE plain (word INTEGER)")
    assert "needs a primary key" in ranked.fail("backfill", "plain.word", "0")


def with_pairs(metadata: MetaData) -> None:
    notes(metadata)
    for name in ("pair", "word"):
        kind = Integer if name == "pair" else String(20)
        Table(
            name,
            metadata,
            Column("a", kind, primary_key=True, autoincrement=False),
            Column("b", kind, primary_key=True, autoincrement=False),
            Column("c", Integer),
        )


def test_batches_follow_a_key_of_several_columns(site: Site) -> None:
    site.new_app(with_pairs, MIGRATION_BATCH_PAUSE=0)
    site.flask("migrate", "-m", "pairs")
    site.flask("upgrade")
    pairs = [(a, b) for a in range(1, 8) for b in range(1, 8)]
    site.execute(
        f"INSERT INTO pair (a, b) VALUES {', '.join(map(str, pairs))}",
        f"INSERT INTO word (a, b) VALUES {', '.join(str((f'x{a}', f'y{b}')) for a, b in pairs)}",
    )

    assert "in 49 rows" in site.flask("backfill", "pair.c", "a * 10 + b", "--batch-size=4")
    assert "in 49 rows" in site.flask("backfill", "word.c", "length(a)", "--batch-size=5")

    assert site.rows("SELECT count(*) FROM pair WHERE c = a * 10 + b") == [(49,)]


def test_one_that_was_killed_goes_on_where_it_was(ranked: Site) -> None:
    add_notes(ranked, 190)
    ranked.script(APP)
    for _ in range(3):
        before = ranked.rows(FILLED)
        command = ("-m", "flask", "db", "backfill", "note.rank_", "id", "--batch-size=2")
        with ranked.start(*command) as backfill:
            while ranked.rows(FILLED) == before:
                assert backfill.poll() is None
                time.sleep(0.02)
            backfill.kill()
        assert ranked.rows(FILLED) != [(200,)]
    (left,) = ranked.rows("SELECT count(*) FROM note WHERE rank_ IS NULL")[0]

    assert f"in {left} rows" in ranked.flask("backfill", "note.rank_", "id")

    assert ranked.rows("SELECT count(*) FROM note WHERE rank_ = id") == [(200,)]


@on_servers
def test_a_locked_row_is_waited_for_but_not_for_ever(ranked: Site) -> None:
    ranked.new_app(notes_with_rank, MIGRATION_BATCH_PAUSE=0, MIGRATION_LOCK_TIMEOUT=1)
    with engine_of(ranked.url).begin() as connection:
        connection.execute(text("UPDATE note SET title = 'x' WHERE id = 6"))
        said = ranked.fail("backfill", "note.rank_", "1", "--batch-size=2")

    assert "run the same command again" in said
    assert ranked.rows(FILLED) == [(4,)]
    assert "in 6 rows" in ranked.flask("backfill", "note.rank_", "1")


def test_a_value_of_a_foreign_key_is_checked(site: Site) -> None:
    site.fill()
    site.new_app(lambda metadata: notes(metadata, Column("parent", ForeignKey("note.id"))))
    site.flask("migrate", "-m", "parents")
    site.flask("upgrade")

    assert site.fail("backfill", "note.parent", "7")
    assert "in 1 rows" in site.flask("backfill", "note.parent", "id")


def test_it_says_how_far_it_is(ranked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_safe_migrations.cli.REPORT_INTERVAL", 0)

    said = ranked.flask("backfill", "note.rank_", "1", "--batch-size=4")

    assert re.search(r"^4 of 10 rows are done, about \d+ s left$", said, re.MULTILINE)
