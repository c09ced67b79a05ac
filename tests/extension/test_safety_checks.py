"""What is done about each dangerous change on each database: this makes docs/safety-checks.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from apps import Models, Site
from conftest import TEMPLATE
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Enum,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

PAGE = TEMPLATE / "docs" / "safety-checks.md"
WRITTEN, REFUSED, FOUND = "safe form written", "refused with the form to paste", "found by lint"
SQLITE = "harmless here, because one process writes at a time, and a read does not wait for it"
INNODB = "harmless here, because InnoDB does it in place, while others read and write"
# What ALGORITHM=… and LOCK=… of MariaDB 10.11 say.
COPIED = "not safe yet: no value is lost, but writers wait while the server copies the table"
CATALOG = "harmless here, because only metadata changes, and no row is rewritten"


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


NUMBER = column("number", Integer)
NUMBERED = pet(NUMBER)
ROWS = [
    Row("remove a column", REFUSED, REFUSED, REFUSED, pet(), NUMBERED),
    Row("remove a table", REFUSED, REFUSED, REFUSED, owners),
    Row("rename a column", REFUSED, REFUSED, REFUSED, pet(column("count", Integer)), NUMBERED),
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
        CATALOG,
        SQLITE,
        pet(column("number", Integer, server_default=text("(abs(2))"))),
    ),
    Row(
        "add a stored generated column",
        REFUSED,
        COPIED,
        SQLITE,
        pet(NUMBER, column("double", Integer, Computed("number * 2", persisted=True))),
        NUMBERED,
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
        CATALOG,
        CATALOG,
        SQLITE,
        pet(column("a", String(40))),
        pet(column("a", String(30))),
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
        COPIED,
        SQLITE,
        pet(lambda: Column("number", ForeignKey("owner.id"))),
        NUMBERED,
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
    ),
    Row(
        "add a check, or change its text",
        WRITTEN,
        COPIED,
        SQLITE,
        pet(NUMBER, lambda: CheckConstraint("number > 0", name="number")),
        NUMBERED,
        form="postgresql_not_valid=True.*VALIDATE CONSTRAINT",
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
    Row("drop and create a table again", FOUND, FOUND, FOUND, 'op.drop_table("pet")'),
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


def observe(site: Site, row: Row) -> str:
    """Return what comes of the change, in the words of the table."""
    site.new_app(row.before)
    for command in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
        site.flask(*command)
    if isinstance(row.after, str):
        site.add_revision("by_hand", row.after)
        return FOUND if site.run("lint").code else "harmless here"
    site.new_app(row.after)
    done = site.run("migrate", "-m", "change")
    if done.code:
        assert "No revision was written." in done.text
        assert "Danger: " in done.text
        assert "Instead: " in done.text
        return REFUSED
    site.flask("lint")
    site.flask("upgrade")
    texts = " ".join(" ".join(path.read_text().split()) for path in site.revisions()[1:])
    is_safe = bool(row.form and re.search(row.form, texts))
    return WRITTEN if is_safe and site.kind == "postgresql" else "harmless here"


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_the_table_says_what_is_done(
    new_site: Callable[[str], Site], url: str, kind: str, row: Row
) -> None:
    cell: str = getattr(row, kind)

    found = observe(new_site(url), row)

    assert cell.startswith(found) or (cell, found) == (COPIED, "harmless here")


def test_the_page_has_the_table() -> None:
    assert make_page() in PAGE.read_text(encoding="utf-8")
