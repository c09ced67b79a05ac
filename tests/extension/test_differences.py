"""The states that a developer gets into: each is explained in one message, and can be left."""

from __future__ import annotations

import re

import pytest
from apps import Models, Site, notes, on_mysql, on_postgresql, on_sqlite
from flask import Flask
from flask_safe_migrations import find_problem
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, text

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
READ = "SELECT colour FROM note"


def with_colour(metadata: MetaData) -> None:
    notes(metadata, Column("colour", String(20)))


def with_lamp(metadata: MetaData) -> None:
    notes(metadata)
    note: Column[int] = Column("note_id", ForeignKey("note.id"))
    Table("lamp", metadata, Column("id", Integer, primary_key=True), note)


def develop(site: Site, models: Models = notes) -> Flask:
    """Make the application in debug mode, with a page that needs a column."""
    app = site.new_app(models, DEBUG=True)
    db = app.extensions["migrate"].db
    app.add_url_rule("/", "home", lambda: str(db.session.execute(text(READ)).all()))
    return app


def problem_of(site: Site) -> str:
    with site.app.app_context():
        return find_problem() or ""


def lose_revision(site: Site, models: Models) -> None:
    """Apply a revision with these models, and lose its file."""
    site.new_app(models)
    site.flask("migrate", "-m", "lost")
    site.flask("upgrade")
    site.revisions()[-1].unlink()


@pytest.mark.parametrize("models", [with_lamp, with_colour], ids=["table", "column"])
@pytest.mark.parametrize("is_kept", [True, False], ids=["with its model", "without"])
def test_a_lost_revision_is_explained_and_reset_begins_again(
    site: Site, models: Models, is_kept: bool
) -> None:
    site.fill()
    site.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)", "INSERT INTO other VALUES (1)")
    lose_revision(site, models)
    develop(site, models if is_kept else notes)

    for command in ("upgrade", "current", "migrate", "check"):
        said = site.fail(command)
        assert "which is not in migrations/versions" in said
        assert "flask db reset" in said
    assert "flask db reset" in problem_of(site)
    if models is with_lamp and not is_kept:
        said = site.fail("reset", "--yes")
        assert "No revision makes table lamp, which refers to note" in said
        site.execute("DROP TABLE lamp")
    site.flask("reset", "--yes")

    assert site.rows("SELECT count(*) FROM note") == [(0,)]
    assert site.rows("SELECT id FROM other") == [(1,)]
    if is_kept:
        site.flask("migrate", "-m", "again")
        site.flask("upgrade")
    site.flask("check")
    site.flask("downgrade", "base")


def test_reset_leaves_a_database_of_another_project_alone(site: Site) -> None:
    site.flask("downgrade", "base")
    site.execute(
        "CREATE TABLE note (id INTEGER PRIMARY KEY, page INTEGER, place INTEGER)",
        "INSERT INTO note VALUES (1, 1, 1)",
    )
    site.new_app(DEBUG=True)
    assert "already has tables of the models" in site.fail("reset", "--yes")
    site.execute("INSERT INTO alembic_version VALUES ('other')")

    said = site.fail("reset", "--yes")

    assert "Nothing was deleted" in said
    assert site.rows("SELECT * FROM note") == [(1, 1, 1)]
    assert "which is not in migrations/versions" in site.fail("prepare")


def test_reset_drops_what_a_revision_cannot_undo(site: Site) -> None:
    site.fill()
    site.add_revision(
        "once",
        'op.create_table("once", sa.Column("id", sa.Integer(), primary_key=True))',
        'raise RuntimeError("there is no way back")',
    )
    site.flask("upgrade")
    site.new_app(DEBUG=True)

    assert "there is no way back" in site.flask("reset", "--yes")

    assert site.rows("SELECT count(*) FROM note") == [(0,)]
    assert "(head)" in site.flask("current")


@on_mysql
def test_reset_drops_what_an_interrupted_revision_has_left(site: Site) -> None:
    create = 'op.create_table("{}", sa.Column("id", sa.Integer()))\n'
    site.add_revision("half", create.format("one") + create.format("two") + 'op.execute("no SQL")')
    site.fail("upgrade")
    site.edit(site.revisions()[-1], '"two"', '"three"')
    site.edit(site.revisions()[-1], "no SQL", "SELECT 1")
    assert "its revision was edited since" in site.fail("upgrade")
    site.new_app(DEBUG=True)
    assert "refers to" not in site.flask("reset", "--yes")

    assert {"one", "three"} <= site.tables()
    assert "alembic_unfinished" not in site.tables()


@on_postgresql
def test_reset_drops_the_types_of_postgresql_that_are_left(site: Site) -> None:
    site.add_revision(
        "kinds",
        """
        from sqlalchemy.dialects import postgresql

        op.create_table("one", sa.Column("kind", sa.Enum("a", "b", name="kind")))
        kind = postgresql.ENUM(name="kind", create_type=False)
        op.create_table("two", sa.Column("kind", kind))
        """,
        "raise RuntimeError",
    )
    site.flask("upgrade")
    site.new_app(DEBUG=True)

    site.flask("reset", "--yes")

    assert {"one", "two"} <= site.tables()


def test_a_release_that_is_rolled_back_can_start(site: Site) -> None:
    lose_revision(site, with_colour)
    site.new_app()

    assert "A newer release has migrated the database" in site.flask("prepare")
    assert "which is not in migrations/versions" in site.fail("upgrade")


def test_a_model_ahead_of_the_revisions_is_explained(site: Site) -> None:
    client = develop(site, with_colour).test_client()

    page = client.get("/", headers=BROWSER)
    assert page.status_code == 503
    assert "colour" in page.text
    assert "flask db migrate" in page.text
    assert "<form" not in page.text
    assert "flask db prepare" not in client.get("/").text
    assert "flask db migrate" in client.get("/").text

    site.flask("migrate", "-m", "colour")
    site.flask("upgrade")
    assert develop(site, with_colour).test_client().get("/").text == "[]"
    assert problem_of(site) == ""


def test_an_error_that_is_not_of_the_models_stays_one(site: Site) -> None:
    client = develop(site).test_client()  # whose page reads a column that no model has
    client.application.testing = True

    with pytest.raises(Exception, match="colour"):
        client.get("/")


def test_an_edited_revision_is_named(site: Site) -> None:
    (first,) = site.revisions()
    column = re.search(r'^ *sa\.Column\("body".*\n', first.read_text(), re.MULTILINE)
    assert column
    site.edit(first, column[0], column[0] + '        sa.Column("colour", sa.String(length=20)),\n')
    develop(site, with_colour)

    for said in (site.fail("migrate"), problem_of(site)):
        assert "lacks note.colour, which revision" in said
        assert "flask db reset" in said
    site.flask("reset", "--yes")
    assert problem_of(site) == ""
    site.flask("check")


@on_sqlite
def test_a_column_that_was_dropped_can_come_back(site: Site) -> None:
    for number, models in enumerate([with_colour, notes, with_colour]):
        site.new_app(models)
        site.flask("migrate", "-m", f"change {number}", "-x", "drop=note.colour")
        site.flask("upgrade")
    site.flask("check")


def add_heads(site: Site) -> tuple[str, str]:
    """Write two revisions that follow the same one."""
    names = site.add_revision("one", "pass"), "bbbb22222222"
    path = site.revisions()[-1]
    path.with_name("2999_other.py").write_text(path.read_text().replace(names[0], names[1]))
    return names


@on_sqlite
def test_two_heads_are_named_with_the_command_that_joins_them(site: Site) -> None:
    names = add_heads(site)
    develop(site)

    for command in (["upgrade"], ["migrate"], ["prepare"], ["check"], ["revision"], ["show"]):
        said = site.fail(*command)
        assert "flask db merge" in said, command
        assert names[0] in said
        assert names[1] in said
    site.flask("upgrade", "heads")
    assert "flask db merge" in site.fail("migrate")
    site.flask("reset", "--yes")
    site.flask("merge", "-m", "merge", "heads")
    site.flask("upgrade")
    assert "(head)" in site.flask("current")


@on_sqlite
def test_a_copied_revision_is_named(site: Site) -> None:
    (first,) = site.revisions()
    copy = first.with_name("2999_copied.py")
    copy.write_text(first.read_text())
    client = develop(site).test_client()

    for command in ("upgrade", "migrate", "prepare", "check", "lint", "history", "heads", "reset"):
        said = site.fail(command, *(["--yes"] if command == "reset" else []))
        assert f"{first.name} and {copy.name} have the same revision ID" in said
    assert copy.name in client.get("/", headers=BROWSER).text
    assert "note" in site.tables()


@on_sqlite
def test_a_revision_whose_parent_is_missing_is_named(site: Site) -> None:
    site.add_revision("parent", "pass")
    site.add_revision("child", "pass")
    site.revisions()[1].unlink()

    for command in ("upgrade", "history", "lint"):
        assert "follows revision 000000000001, whose file is missing" in site.fail(command)


@on_sqlite
def test_revisions_in_several_folders_are_left_to_alembic(site: Site) -> None:
    site.add_revision("elsewhere", "pass")
    site.add_revision("last", "pass")
    other = site.folder / "other"
    other.mkdir()
    parent = site.revisions()[1]
    parent.rename(other / parent.name)
    locations = f"version_locations = {site.folder}/migrations/versions\n    {other}\n"
    ini = site.folder / "migrations" / "alembic.ini"
    site.edit(ini, "[alembic]\n", f"[alembic]\npath_separator = newline\n{locations}")

    assert "000000000001" in site.flask("history")
    site.flask("upgrade")


@on_sqlite
def test_what_is_said_after_the_parent_is_no_parent(site: Site) -> None:
    site.add_revision("more", "pass")
    site.edit(site.revisions()[-1], "\nbranch_labels", '  # once after "abc"\nbranch_labels')

    site.flask("upgrade")


@on_sqlite
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("-1", "Nothing was undone: -1 is out of range. Applied revisions in"),
        ("-5", "Nothing was undone: -5 is out of range. Applied revisions in"),
        ("head", "Nothing was undone: head has not been applied"),
    ],
)
def test_a_downgrade_from_nothing_says_so(site: Site, target: str, says: str) -> None:
    site.flask("downgrade", "base")

    assert "Nothing to undo: no revision is applied" in site.flask("downgrade", "base")
    assert says in site.fail("downgrade", "--", target)


@on_sqlite
def test_going_too_far_says_how_far_one_can_go(site: Site) -> None:
    said = site.fail("downgrade", "--", "-5")
    assert re.search("Applied revisions in .+: 1. ", said)
    assert "flask db downgrade base" in said
    assert "note" in site.tables()

    site.add_revision("more", "pass")
    assert "Pending revisions: 1." in site.fail("upgrade", "+5")
    assert "Apply them first: flask db upgrade" in site.fail("migrate")
