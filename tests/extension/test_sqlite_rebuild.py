"""What a table of SQLite keeps when a revision changes it, for which Alembic copies it."""

from __future__ import annotations

import pytest
from apps import Site, on_sqlite

pytestmark = on_sqlite

TABLE = """
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name VARCHAR(50) COLLATE NOCASE NOT NULL,
    size VARCHAR(10) DEFAULT 'S' CHECK (size <> 'it''s COLLATE'),
    points INTEGER DEFAULT 0 NOT NULL,
    total INTEGER GENERATED ALWAYS AS (points * 2) STORED,
    note_id INTEGER REFERENCES note (id) ON DELETE CASCADE,
    remark TEXT,
    CHECK (points >= 0)
)
"""
BELONGING = (
    "CREATE INDEX ix_lower ON member (lower(name))",
    "CREATE INDEX ix_partial ON member (points DESC) WHERE size = 'S'",
    "CREATE UNIQUE INDEX ix_unique ON member (name COLLATE RTRIM)",
    "CREATE TRIGGER member_points AFTER INSERT ON member"
    " BEGIN UPDATE member SET points = points + 7 WHERE id = NEW.id; END",
    "CREATE VIEW rich AS SELECT name, points FROM member WHERE points > 5",
)
CHILD = (
    "CREATE TABLE child (id INTEGER PRIMARY KEY, member_id INTEGER NOT NULL"
    " REFERENCES member (id) ON DELETE CASCADE)"
)
ROWS = (
    "INSERT INTO member (name) VALUES ('Ann'), ('Ben'), ('Cem')",
    "DELETE FROM member WHERE name = 'Cem'",
    "INSERT INTO child VALUES (1, 1)",
)
NAMES = "SELECT name FROM sqlite_master WHERE tbl_name IN ('member', 'rich') ORDER BY 1"


@pytest.fixture
def members(site: Site) -> Site:
    """A site with a table that has all that SQLite offers, and a child of it."""
    site.execute(TABLE, *BELONGING, CHILD, *ROWS)
    return site


def change(site: Site, code: str, *, table: str = "member") -> None:
    site.add_revision("change", f"with op.batch_alter_table({table!r}) as batch:\n    {code}")


@pytest.mark.parametrize(
    "code",
    [
        "batch.alter_column('size', type_=sa.Text())",
        "batch.alter_column('points', server_default='1')",
        "batch.alter_column('remark', nullable=False, server_default='')",
        "batch.drop_column('remark')",
        "batch.add_column(sa.Column('more', sa.Text(), unique=True))",
        "batch.create_unique_constraint('uq_name', ['name', 'remark'])",
        "batch.alter_column('remark', new_column_name='comment')",
    ],
)
def test_a_change_keeps_all_that_it_does_not_name(members: Site, code: str) -> None:
    site = members
    before = site.rows(NAMES)
    if "remark', nullable" in code:
        site.execute("UPDATE member SET remark = ''")

    change(site, code)
    site.flask("upgrade")

    assert [row for row in site.rows(NAMES) if "autoindex" not in str(row)] == before
    assert site.rows("SELECT id, points, total FROM member WHERE name = 'ANN'") == [(1, 7, 14)]
    assert site.rows("SELECT name FROM rich") == [("Ann",), ("Ben",)]
    assert site.rows("SELECT * FROM child") == [(1, 1)]
    sql = " ".join(
        str(site.rows("SELECT sql FROM sqlite_master WHERE name = 'member'")[0][0]).split()
    )
    for kept in ("CHECK (points >= 0)", "CHECK (size <> 'it''s COLLATE')", "ON DELETE CASCADE"):
        assert kept in sql
    indexes = " ".join(str(row) for row in site.rows("SELECT sql FROM sqlite_master"))
    assert "points DESC" in indexes
    assert "name COLLATE RTRIM" in indexes
    site.execute("INSERT INTO member (name) VALUES ('Dee')")
    assert site.rows("SELECT id, points FROM member WHERE name = 'Dee'")[0][0] == 4


def test_an_empty_table_keeps_its_last_number(members: Site) -> None:
    members.execute("DELETE FROM child", "DELETE FROM member")

    change(members, "batch.drop_column('remark')")
    members.flask("upgrade")

    members.execute("INSERT INTO member (name) VALUES ('Dee')")
    assert members.rows("SELECT id FROM member") == [(4,)]


def test_a_renamed_column_is_renamed_where_it_is_used(members: Site) -> None:
    change(members, "batch.alter_column('points', new_column_name='score')")
    members.flask("upgrade")

    members.execute("INSERT INTO member (name) VALUES ('Dee')")
    assert members.rows("SELECT score, total FROM member WHERE name = 'Dee'") == [(7, 14)]
    assert members.rows("SELECT score FROM rich WHERE name = 'Dee'") == [(7,)]


@pytest.mark.parametrize("options", ["STRICT", "WITHOUT ROWID", "WITHOUT ROWID, STRICT"])
def test_options_of_the_table_are_kept(site: Site, options: str) -> None:
    site.execute(
        f"CREATE TABLE bag (code TEXT PRIMARY KEY NOT NULL, size INT, old TEXT) {options}",
        "INSERT INTO bag VALUES ('a', 1, 'x')",
    )

    change(site, "batch.drop_column('old')", table="bag")
    site.flask("upgrade")

    assert site.rows("SELECT * FROM bag") == [("a", 1)]
    [(sql,)] = site.rows("SELECT sql FROM sqlite_master WHERE name = 'bag'")
    assert " ".join(str(sql).split()).endswith(options)


def test_two_columns_can_swap_their_names(site: Site) -> None:
    site.execute("CREATE TABLE pair (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
    site.execute("INSERT INTO pair VALUES (1, 2, 3)")

    swap = "batch.alter_column('a', new_column_name='b')\n    batch.alter_column('b', new_column_name='a')"
    change(site, swap, table="pair")
    site.flask("upgrade")

    assert site.rows("SELECT id, a, b FROM pair") == [(1, 3, 2)]


@pytest.mark.parametrize("user", ["index", "trigger", "view"])
def test_what_needs_a_dropped_column_is_named(site: Site, user: str) -> None:
    site.execute(
        "CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT)",
        {
            "index": "CREATE INDEX user ON log (upper(text))",
            "trigger": "CREATE TRIGGER user AFTER INSERT ON log"
            " BEGIN UPDATE log SET text = upper(NEW.text); END",
            "view": "CREATE VIEW user AS SELECT text FROM log",
        }[user],
    )
    before = site.rows("SELECT sql FROM sqlite_master")

    change(site, "batch.drop_column('text')", table="log")

    said = site.fail("upgrade")
    assert "Table log can't be changed" in said
    assert "user" in said
    assert "no such column" in said
    assert site.rows("SELECT sql FROM sqlite_master") == before


def test_a_copy_that_would_lose_something_is_refused_unless_asked_for(site: Site) -> None:
    site.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, code INTEGER COLLATE NOCASE, old TEXT)")
    change(site, "batch.drop_column('old')", table="log")

    said = site.fail("upgrade")
    assert "would lose COLLATE" in said
    assert "-x copy=log" in said

    site.flask("upgrade", "-x", "copy=log")
    assert site.rows("SELECT count(*) FROM pragma_table_info('log')") == [(2,)]


def test_an_enumeration_without_a_name_gets_its_new_members(site: Site) -> None:
    site.execute(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, kind VARCHAR(1), CHECK (kind IN ('a')))"
    )
    members = "sa.Enum('a', 'b', native_enum=False, create_constraint=True, name='kind')"

    change(site, f"batch.alter_column('kind', type_={members})", table="bag")
    site.flask("upgrade")

    site.execute("INSERT INTO bag VALUES (1, 'b')")
    with pytest.raises(Exception, match="CHECK"):
        site.execute("INSERT INTO bag VALUES (2, 'c')")
