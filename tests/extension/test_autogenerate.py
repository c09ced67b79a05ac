"""What `flask db migrate` writes, and what it refuses to write, on each database."""

from __future__ import annotations

import enum
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import servers
from apps import Site, notes, on_postgresql, on_sqlite
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    Interval,
    MetaData,
    String,
    Table,
    Text,
    false,
    func,
)
from sqlalchemy.types import TypeDecorator

RULES = "A,ANN,B,C4,DTZ,E,F,I,PT,RUF,S,SIM,UP,W"
CHECKS = ("format --check", f"check --select {RULES} --ignore E501,F401")


class Cents(TypeDecorator[int]):
    """A type of the application, with code that runs in the application alone."""

    impl = Integer
    cache_ok = True


class Wide(TypeDecorator[str]):
    """A type that differs between databases, so a revision has to import it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: object) -> String:
        return String(500)


class State(enum.Enum):
    OPEN = "open"
    DONE = "done"


def migrate(site: Site, *drops: str) -> None:
    site.flask("migrate", "-m", "change", *(part for name in drops for part in ("-x", name)))


def refusal(site: Site, *drops: str) -> str:
    """What was said, given that nothing was written."""
    before = site.revisions()
    said = site.fail("migrate", "-m", "change", *(part for name in drops for part in ("-x", name)))
    assert "No revision was written." in said
    assert site.revisions() == before
    return said


def live(site: Site) -> None:
    """The whole life of the revisions that were made; they are safe, and formatted."""
    site.flask("upgrade")
    assert "No new upgrade operations detected" in site.flask("check")
    assert "No danger was found." in site.flask("lint")
    site.flask("downgrade", "base")
    assert site.tables() == {"alembic_version"}
    site.flask("upgrade")
    assert "No new upgrade operations detected" in site.flask("check")
    assert site.flask("heads").count("(head)") == 1
    for check in CHECKS:
        command = [sys.executable, "-m", "ruff", *check.split(), str(site.folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stdout


def test_the_first_revision_makes_all_tables(site: Site) -> None:
    assert site.tables() == {"alembic_version", "note", "note_tag", "tag"}
    assert len(site.revisions()) == 1
    assert re.fullmatch(r"\d{8}_\d{6}_\w+_first\.py", site.revisions()[0].name)
    live(site)
    assert "No changes: the database matches the models" in site.flask("migrate")
    assert len(site.revisions()) == 1


def test_tables_of_others_are_left_alone(empty_site: Site) -> None:
    """At the first revision, and at all later ones."""
    empty_site.execute("CREATE TABLE theirs (id INTEGER)", "CREATE TABLE theirs_too (id INTEGER)")
    for command in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
        empty_site.flask(*command)
    empty_site.execute("ALTER TABLE theirs ADD COLUMN more INTEGER", "DROP TABLE theirs_too")

    empty_site.new_app(partial(notes, body=True, title=250))
    migrate(empty_site)

    assert "theirs" not in "".join(path.read_text() for path in empty_site.revisions())
    empty_site.flask("upgrade")
    empty_site.flask("downgrade", "base")
    assert empty_site.tables() == {"alembic_version", "theirs"}


def test_the_first_revision_needs_no_database(new_site: Callable[[str], Site], kind: str) -> None:
    nowhere = {
        "sqlite": "sqlite:////no/folder/app.db",
        "postgresql": "postgresql+psycopg://u@127.0.0.1:1/d",
        "mysql": "mysql+pymysql://u@127.0.0.1:1/d",
    }
    site = new_site(nowhere[kind])
    site.new_app()

    site.flask("init")
    migrate(site)

    assert 'op.create_table(\n        "note"' in site.revisions()[0].read_text()
    assert "can't be used" in site.fail("upgrade")


def test_a_not_null_column_needs_a_server_default(site: Site) -> None:
    site.fill()
    site.new_app(lambda metadata: notes(metadata, Column("price", Integer, nullable=False)))

    said = refusal(site)

    reason = {
        "sqlite": "SQLite refuses",
        "postgresql": "PostgreSQL refuses",
        "mysql": "MySQL fills",
    }
    assert "The new column note.price is NOT NULL and has no server default." in said
    assert reason[site.kind] in said
    assert 'mapped_column(server_default="0")' in said

    price = partial(Column, "price", Integer, nullable=False, server_default="0")
    site.new_app(lambda metadata: notes(metadata, price()))
    migrate(site)
    live(site)


def without_links(metadata: MetaData) -> None:
    """The models without a column, and without the table of the links."""
    notes(metadata, body=False)
    metadata.remove(metadata.tables["note_tag"])


def test_a_column_or_table_is_dropped_only_if_asked_for(site: Site) -> None:
    site.new_app(without_links)

    said = refusal(site)
    assert "The models no longer have the column note.body." in said
    assert "The models no longer have the table note_tag." in said
    assert "-x drop=note_tag" in said
    refusal(site, "drop=note_tag")

    migrate(site, "drop=note_tag", "drop=note.body")
    downgrade = site.revisions()[-1].read_text().partition("def downgrade")[2]
    assert not re.search(r"DATETIME|TIMESTAMP|mysql\.|postgresql\.", downgrade)
    site.flask("upgrade")
    assert "note_tag" not in site.tables()
    assert "No danger was found." in site.flask("lint")


def test_dropped_tables_go_before_those_they_refer_to(site: Site) -> None:
    site.new_app(lambda metadata: Table("other", metadata, Column("id", Integer, primary_key=True)))

    migrate(site, "drop=note", "drop=tag", "drop=note_tag")

    live(site)


def test_a_dropped_table_comes_back_with_its_checks_once(
    new_site: Callable[[str], Site], url: str
) -> None:
    site = new_site(url)
    site.new_app(
        lambda metadata: notes(metadata, CheckConstraint("length(title) > 0", name="named"))
    )
    site.flask("init")
    migrate(site)
    site.flask("upgrade")
    site.new_app(lambda metadata: Table("other", metadata, Column("id", Integer, primary_key=True)))

    migrate(site, "drop=note", "drop=tag", "drop=note_tag")

    assert site.revisions()[-1].read_text().count("ck_note_named") == 1
    live(site)


def test_a_dropped_time_comes_back_with_a_portable_default(
    new_site: Callable[[str], Site], url: str
) -> None:
    site = new_site(url)
    moment = DateTime(timezone=True)
    made = partial(Column, "made_at", moment, server_default=func.now(), nullable=False)
    site.new_app(lambda metadata: notes(metadata, made()))
    site.flask("init")
    migrate(site)
    site.flask("upgrade")
    site.new_app()

    migrate(site, "drop=note.made_at")

    downgrade = site.revisions()[-1].read_text().partition("def downgrade")[2]
    assert "sa.DateTime(" in downgrade
    assert "server_default=sa.func.now()" in " ".join(
        downgrade.replace('text("now()")', "").split()
    )
    live(site)


@on_sqlite
def test_without_models_nothing_is_written(site: Site) -> None:
    site.new_app(lambda metadata: None)

    assert "Without models, it would drop every table" in refusal(site)


@on_postgresql
def test_on_postgresql_indexes_and_constraints_come_apart(site: Site) -> None:
    site.fill()

    def models(metadata: MetaData) -> None:
        notes(
            metadata,
            Column("code", Integer, unique=True),
            Column("main_tag_id", ForeignKey("tag.id")),
            Column("place", Integer, index=True),
        )

    site.new_app(models)
    migrate(site)

    first, *others = [path.read_text().partition("def upgrade")[2] for path in site.revisions()[1:]]
    assert "postgresql_not_valid=True" in first
    assert "create_index" not in first
    assert "create_unique_constraint" not in first
    texts = "\n".join(others)
    assert len(others) == 4  # two indexes, a constraint on one of them, a validation
    assert texts.count("autocommit_block()") >= 4
    assert "VALIDATE CONSTRAINT" in texts
    assert "UNIQUE USING INDEX" in texts
    live(site)


@on_postgresql
def test_on_postgresql_not_null_is_validated_before_it_is_set(
    new_site: Callable[[str], Site], url: str
) -> None:
    site = new_site(url)
    site.new_app(lambda metadata: notes(metadata, Column("place", Integer)))
    site.flask("init")
    migrate(site)
    site.flask("upgrade")
    site.new_app(lambda metadata: notes(metadata, Column("place", Integer, nullable=False)))

    migrate(site)

    texts = [path.read_text().partition("def downgrade")[0] for path in site.revisions()[1:]]
    assert ["NOT VALID" in text for text in texts] == [True, False, False]
    assert ["VALIDATE CONSTRAINT" in text for text in texts] == [False, True, False]
    assert "nullable=False" in texts[2]
    live(site)


@on_postgresql
def test_on_postgresql_an_index_alone_is_one_revision(site: Site) -> None:
    def models(metadata: MetaData) -> None:
        notes(metadata)
        Index("ix_note_title", metadata.tables["note"].c.title)

    site.new_app(models)

    migrate(site)

    assert len(site.revisions()) == 2
    assert "postgresql_concurrently=True" in site.revisions()[1].read_text()
    live(site)


def test_enums_and_types_of_the_application_are_portable(site: Site) -> None:
    def models(metadata: MetaData) -> None:
        notes(
            metadata,
            Column("state", Enum(State, native_enum=False), server_default="OPEN", nullable=False),
            Column("price", Cents),
            Column("wide", Wide),
            Column("delay", Interval),  # a TypeDecorator of SQLAlchemy
            Column("hidden", Boolean, server_default=false(), nullable=False),
        )

    site.new_app(models)
    migrate(site)

    revision = site.revisions()[-1].read_text()
    assert f"import {__name__}\n" in revision
    assert f'sa.Column("wide", {__name__}.Wide()' in revision
    assert 'sa.Column("price", sa.Integer()' in revision
    assert 'sa.Column("delay", sa.Interval()' in revision
    assert 'sa.Enum("OPEN", "DONE", name="state", native_enum=False)' in revision
    assert "server_default=sa.false()" in revision
    live(site)


def test_one_revision_serves_every_database(
    site: Site,
    new_site: Callable[[str], Site],
    new_uri: Callable[[str], str],
) -> None:
    for other in servers.KINDS:
        elsewhere = new_site(servers.driver_named(new_uri(other)))
        elsewhere.new_app()
        shutil.copytree(site.folder / "migrations", elsewhere.folder / "migrations")
        live(elsewhere)
