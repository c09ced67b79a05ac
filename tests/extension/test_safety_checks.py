"""What is done about each dangerous change on each database: this makes docs/safety-checks.md."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from apps import Models, Site
from conftest import TEMPLATE
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Engine,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

PAGE = TEMPLATE / "docs" / "safety-checks.md"
WRITTEN, REFUSED, FOUND = "safe form written", "refused with the form to paste", "found by lint"
SQLITE = "harmless here, because one process writes at a time, and a read does not wait for it"
INNODB = "harmless here, because InnoDB does it in place, while others read and write"
CATALOG = "harmless here, because only metadata changes, and no row is rewritten"
PREPARED = (
    "harmless here, because no row is rewritten. Where a connection has prepared a query of the column,"
    " it fails once, and is prepared again"
)
SHORT_KEY = (
    "harmless here, because nobody waits. Take BigInteger for a table that may get two billion rows:"
    " later, that is refused"
)
DEFAULTS = {"compare_server_default": True}


def pet(*items: Callable[[], Any]) -> Models:
    """Declare pets, and an owner for each."""

    def declare(metadata: MetaData) -> None:
        Table("owner", metadata, Column("id", Integer, primary_key=True))
        columns: list[Any] = [Column("id", Integer, primary_key=True), Column("name", String(20))]
        Table("pet", metadata, *columns, *(item() for item in items))

    return declare


def column(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:  # noqa: ANN401
    return lambda: Column(name, *arguments, **options)


def owners(metadata: MetaData) -> None:
    Table("owner", metadata, Column("id", Integer, primary_key=True))


def animals(metadata: MetaData) -> None:
    owners(metadata)
    Table("animal", metadata, Column("id", Integer, primary_key=True), Column("name", String(20)))


def pets_and_toys(metadata: MetaData) -> None:
    declare_pets(metadata)
    Table("toy", metadata, Column("id", Integer, primary_key=True))


declare_pets = pet()


@dataclass(frozen=True)
class Row:
    """A change of the models, or a statement that somebody writes, and what comes of it."""

    title: str
    postgresql: str
    mysql: str
    sqlite: str
    after: Models | str
    before: Models = declare_pets
    form: str = ""  # what the safe form contains on PostgreSQL
    options: dict[str, Any] = field(default_factory=dict)  # of SafeMigrate


NUMBER = column("number", Integer)
NUMBERED = pet(NUMBER)
ROWS = [
    Row("remove a column", REFUSED, REFUSED, REFUSED, pet(), NUMBERED),
    Row("remove a table", REFUSED, REFUSED, REFUSED, owners),
    Row("rename a column", REFUSED, REFUSED, REFUSED, pet(column("count", Integer)), NUMBERED),
    Row("rename a table", REFUSED, REFUSED, REFUSED, animals),
    Row("add a column that may be NULL", CATALOG, CATALOG, CATALOG, NUMBERED),
    Row(
        "add a column with a constant default",
        CATALOG,
        CATALOG,
        CATALOG,
        pet(column("number", Integer, server_default="0", nullable=False)),
    ),
    Row(
        "add a NOT NULL column without a default",
        REFUSED,
        REFUSED,
        REFUSED,
        pet(column("number", Integer, nullable=False)),
    ),
    Row(
        "add a column whose default calls a function",
        REFUSED,
        REFUSED,
        SQLITE,
        pet(column("number", Integer, server_default=text("(abs(2))"))),
    ),
    Row(
        "add a stored generated column",
        REFUSED,
        REFUSED,
        SQLITE,
        pet(NUMBER, column("double", Integer, Computed("number * 2", persisted=True))),
        NUMBERED,
    ),
    Row(
        "add a column with a foreign key",
        WRITTEN,
        WRITTEN,
        SQLITE,
        pet(lambda: Column("owner_id", ForeignKey("owner.id"))),
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
    ),
    Row(
        "add a column of JSON",
        "harmless here, because only metadata changes, and queries of the running release, also with"
        " DISTINCT, name their columns",
        CATALOG,
        CATALOG,
        pet(column("data", JSON)),
    ),
    Row(
        "add an identity column",
        REFUSED,
        "harmless here, because MySQL has no identity: the column is an ordinary one",
        "harmless here, because SQLite has no identity: the column is an ordinary one",
        pet(column("number", Integer, Identity(), nullable=True)),
    ),
    Row(
        "make a string longer",
        PREPARED,
        CATALOG,
        SQLITE,
        pet(column("a", String(40))),
        pet(column("a", String(30))),
    ),
    Row(
        "make a string a text",
        PREPARED,
        REFUSED,
        SQLITE,
        pet(column("a", Text)),
        pet(column("a", String(30))),
    ),
    Row(
        "make an integer larger",
        REFUSED,
        REFUSED,
        SQLITE,
        pet(column("number", BigInteger)),
        NUMBERED,
    ),
    Row(
        "give a number more digits",
        PREPARED,
        REFUSED,
        SQLITE,
        pet(column("a", Numeric(10, 2))),
        pet(column("a", Numeric(6, 2))),
    ),
    Row(
        "give a number more decimals",
        REFUSED,
        REFUSED,
        SQLITE,
        pet(column("a", Numeric(10, 4))),
        pet(column("a", Numeric(6, 2))),
    ),
    Row(
        "make a string shorter",
        REFUSED,
        REFUSED,
        REFUSED,
        pet(column("a", String(9))),
        pet(column("a", String(30))),
    ),
    Row(
        "change to a type of another kind",
        REFUSED,
        REFUSED,
        REFUSED,
        pet(column("a", Integer)),
        pet(column("a", String(30))),
    ),
    Row(
        "change a collation",
        FOUND,
        FOUND,
        FOUND,
        'op.alter_column("pet", "name", type_=sa.String(20, collation="C"))',
    ),
    Row(
        "change a server default",
        CATALOG,
        CATALOG,
        SQLITE,
        pet(column("a", String(9), server_default="y")),
        pet(column("a", String(9), server_default="x")),
        options=DEFAULTS,
    ),
    Row(
        "remove a server default",
        REFUSED,
        REFUSED,
        REFUSED,
        pet(column("a", String(9))),
        pet(column("a", String(9), server_default="x")),
        options=DEFAULTS,
    ),
    Row(
        "remove a server default by hand",
        FOUND,
        FOUND,
        FOUND,
        'op.alter_column("pet", "number", server_default=None)',
        NUMBERED,
    ),
    Row(
        "set NOT NULL",
        WRITTEN,
        INNODB,
        SQLITE,
        pet(column("number", Integer, nullable=False)),
        NUMBERED,
        form="IS NOT NULL\\) NOT VALID.*VALIDATE CONSTRAINT.*nullable=False",
    ),
    Row(
        "drop NOT NULL",
        CATALOG,
        INNODB,
        SQLITE,
        NUMBERED,
        pet(column("number", Integer, nullable=False)),
    ),
    Row(
        "add an index",
        WRITTEN,
        INNODB,
        SQLITE,
        pet(column("number", Integer, index=True)),
        NUMBERED,
        form="autocommit_block.*postgresql_concurrently=True",
    ),
    Row(
        "add an index of many columns",
        WRITTEN,
        INNODB,
        SQLITE,
        pet(NUMBER, lambda: Index("ix_pet_many", "name", "number", "id")),
        NUMBERED,
        form="autocommit_block.*postgresql_concurrently=True",
    ),
    Row(
        "remove an index",
        WRITTEN,
        CATALOG,
        SQLITE,
        NUMBERED,
        pet(column("number", Integer, index=True)),
        form="autocommit_block.*drop_index.*postgresql_concurrently=True",
    ),
    Row(
        "make an index unique",
        WRITTEN,
        INNODB,
        SQLITE,
        pet(column("number", Integer, index=True, unique=True)),
        pet(column("number", Integer, index=True)),
        form="autocommit_block.*unique=True.*RENAME TO",
    ),
    Row(
        "add a unique constraint",
        WRITTEN,
        INNODB,
        SQLITE,
        pet(NUMBER, lambda: UniqueConstraint("number")),
        NUMBERED,
        form="postgresql_concurrently=True.*UNIQUE USING INDEX",
    ),
    Row(
        "add a foreign key",
        WRITTEN,
        WRITTEN,
        SQLITE,
        pet(lambda: Column("number", ForeignKey("owner.id"))),
        NUMBERED,
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
    ),
    Row(
        "add a check",
        WRITTEN,
        REFUSED,
        SQLITE,
        pet(NUMBER, lambda: CheckConstraint("number > 0", name="number")),
        NUMBERED,
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
    ),
    Row(
        "change the text of a check",
        WRITTEN,
        REFUSED,
        SQLITE,
        pet(NUMBER, lambda: CheckConstraint("number > 9", name="number")),
        pet(NUMBER, lambda: CheckConstraint("number > 0", name="number")),
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
    ),
    Row(
        "remove a check",
        CATALOG,
        CATALOG,
        SQLITE,
        NUMBERED,
        pet(NUMBER, lambda: CheckConstraint("number > 0", name="number")),
    ),
    Row(
        "add and validate a constraint in one transaction",
        FOUND,
        FOUND,
        "harmless here, because SQLite has no NOT VALID, and refuses the statement",
        """
        op.execute("ALTER TABLE pet ADD CONSTRAINT c CHECK (id > 0) NOT VALID")
        op.execute("ALTER TABLE pet VALIDATE CONSTRAINT c")
        """,
    ),
    Row(
        "add a member to an enum type",
        WRITTEN,
        CATALOG,
        "harmless here, because the type is text: the longest member counts",
        pet(column("state", Enum("new", "old", name="state"))),
        pet(column("state", Enum("new", name="state", length=3))),
        form="autocommit_block.*ADD VALUE IF NOT EXISTS",
    ),
    Row(
        "put a member of an enum type between others",
        WRITTEN,
        REFUSED,
        "harmless here, because the type is text: the longest member counts",
        pet(column("state", Enum("new", "old", "odd", name="state"))),
        pet(column("state", Enum("new", "odd", name="state"))),
        form="autocommit_block.*ADD VALUE IF NOT EXISTS 'old' AFTER 'new'",
    ),
    Row(
        "create a table whose primary key has 32 bits",
        SHORT_KEY,
        SHORT_KEY,
        "harmless here, because an integer that is the primary key has 64 bits",
        pets_and_toys,
    ),
    Row("create a table by force, after dropping it", FOUND, FOUND, FOUND, 'op.drop_table("pet")'),
    Row(
        "execute SQL",
        FOUND,
        FOUND,
        FOUND,
        'op.execute("ALTER TABLE pet DROP COLUMN name")',
    ),
    Row(
        "change all rows at once", FOUND, FOUND, FOUND, "op.execute(\"UPDATE pet SET name = 'x'\")"
    ),
    Row(
        "add an exclusion constraint by hand",
        FOUND,
        "harmless here, because MySQL has none, and refuses the statement",
        "harmless here, because SQLite has none, and refuses the statement",
        "op.execute('ALTER TABLE pet ADD CONSTRAINT e EXCLUDE USING gist (id WITH =)')",
    ),
]


def make_page() -> str:
    lines = [f"| {row.title} | {row.postgresql} | {row.mysql} | {row.sqlite} |" for row in ROWS]
    return "\n".join(
        ["| change | PostgreSQL | MySQL, MariaDB | SQLite |", "|---|---|---|---|", *lines]
    )


@contextmanager
def without_locks() -> Iterator[None]:
    """Ask MySQL to refuse what would make writers wait."""

    def ask(*event: Any) -> tuple[str, Any]:  # noqa: ANN401
        _, _, statement, parameters, *_ = event
        text = re.sub(r"^\s*DROP INDEX (\S+) ON (\S+)", r"ALTER TABLE \2 DROP INDEX \1", statement)
        if text.startswith("ALTER TABLE"):
            text += ", LOCK=NONE"
        elif re.match(r"CREATE( UNIQUE)? INDEX", text):
            text += " LOCK=NONE"
        return text, parameters

    event.listen(Engine, "before_cursor_execute", ask, retval=True)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", ask)


def upgrade(site: Site) -> None:
    """Apply the change, given that it rewrites no table and makes nobody wait."""
    query = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('owner', 'pet') ORDER BY 1"
    if site.kind == "mysql":
        with without_locks():
            site.flask("upgrade")
    elif site.kind == "postgresql":
        before = site.rows(query)
        site.flask("upgrade")
        assert site.rows(query) == before
    else:
        site.flask("upgrade")


def observe(site: Site, row: Row) -> str:
    """Return what comes of the change, in the words of the table."""
    site.new_app(row.before, options=row.options)
    for command in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
        site.flask(*command)
    if isinstance(row.after, str):
        site.add_revision("by_hand", row.after)
        return FOUND if site.run("lint").code else "harmless here"
    site.new_app(row.after, options=row.options)
    done = site.run("migrate", "-m", "change")
    if done.code:
        assert "No revision was written." in done.text
        assert "Danger: " in done.text
        assert "Instead: " in done.text
        return REFUSED
    site.flask("lint")
    upgrade(site)
    texts = " ".join(" ".join(path.read_text().split()) for path in site.revisions()[1:])
    form = {"postgresql": row.form, "mysql": "create_foreign_key"}.get(site.kind)
    return WRITTEN if form and re.search(form, texts) else "harmless here"


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_the_table_says_what_is_done(
    new_site: Callable[[str], Site], url: str, kind: str, row: Row
) -> None:
    cell: str = getattr(row, kind)

    assert cell.startswith(observe(new_site(url), row))


def test_the_page_has_the_table() -> None:
    if os.environ.get("UPDATE_DOCS"):
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(re.sub(r"\| change \|.*\|\n", f"{make_page()}\n", text, flags=re.DOTALL))

    assert make_page() in PAGE.read_text(encoding="utf-8")
