"""Follows the recipes of docs/migrations.md as they stand, and checks that they keep what they promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODELS, TEMPLATE, Project, sqlite_uri
from recipes import SECTIONS, finish, follow
from servers import KINDS, Server, driver_named, engine_of, execute, rows
from sqlalchemy import inspect, make_url, text
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.weekly

PATH = TEMPLATE / "docs" / "migrations.md"
PAGE = PATH.read_text(encoding="utf-8")
LOST = "0123456789ab"
REQUIRED = [
    "require_content",
    "require_content_validate_content",
    "require_content_not_null_content",
]
Make = Callable[[str], tuple[Project, str]]


def nullable(uri: str) -> dict[str, bool]:
    """Return the columns of the notes, and whether they are nullable."""
    return {
        column["name"]: column["nullable"] for column in inspect(engine_of(uri)).get_columns("note")
    }


def fill(uri: str, number: int) -> None:
    """Write notes as the release before the recipe does, which knows no other columns."""
    with engine_of(uri).begin() as connection:
        connection.execute(
            text("INSERT INTO note (title, body) VALUES (:title, :body)"),
            [{"title": f"note {n}", "body": f"text {n}"} for n in range(number)],
        )


def add_note(project: Project, title: str) -> None:
    """Write a note and read it, as a visitor of the release that the project is now."""
    script = (
        "from my_app import create_app\n"
        "app = create_app()\n"
        "app.config['WTF_CSRF_ENABLED'] = False\n"
        f"data = {{'title': {title!r}, 'body': 'written by ' + {title!r}}}\n"
        "page = app.test_client().post('/notes/new', data=data, follow_redirects=True)\n"
        "assert page.status_code == 200, page.status\n"
        "assert 'written by ' + data['title'] in page.text, page.text\n"
    )
    project.succeed("uv", "run", "python", "-c", script)


def names(project: Project) -> list[str]:
    return [path.stem.split("_", 3)[3] for path in project.revisions()]


def test_each_section_with_code_is_followed_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")

    assert len(SECTIONS) > 10
    assert [
        title for title, blocks in SECTIONS.items() if blocks and f'"{title}"' not in source
    ] == []


def test_lines_are_short_and_links_within_the_page_lead_somewhere() -> None:
    anchors = {title.lower().replace(" ", "-") for title in SECTIONS}

    assert [line for line in PAGE.splitlines() if len(line) > 120] == []
    assert set(re.findall(r"\]\(#(.*?)\)", PAGE)) <= anchors


def test_the_everyday_way(fresh_project: Project) -> None:
    output = finish(fresh_project, "The everyday way")

    assert "op.add_column" in output or "batch_op.add_column" in output
    assert "No new upgrade operations detected" in output
    assert re.search(r"\d+ passed", output)
    assert nullable(sqlite_uri(fresh_project))["source"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_renamed_without_losing_a_row_or_a_release(kind: str, on: Make) -> None:
    project, uri = on(kind)
    fill(uri, 2500)

    finish(project, "First release: write both columns")
    fill(uri, 1)  # by a process of the old release, which is still there
    add_note(project, "first")
    assert rows(uri, "SELECT count(*), count(content) FROM note") == [(2502, 1)]

    assert "Filled note.content in 2,501 rows." in finish(project, "Fill in batches")
    assert rows(uri, "SELECT count(*) FROM note WHERE content = body") == [(2502,)]

    fill(uri, 1)  # of which the command knew nothing
    finish(project, "Second release: read the new column")
    assert rows(uri, "SELECT count(*) FROM note WHERE content = body") == [(2503,)]
    assert nullable(uri)["content"] is False
    add_note(project, "second")
    execute(uri, "INSERT INTO note (title, body, content) VALUES ('by the first', 'x', 'x')")

    finish(project, "Third release: leave the old column alone")
    assert nullable(uri)["body"] is True
    add_note(project, "third")
    execute(uri, "INSERT INTO note (title, body, content) VALUES ('by the second', 'x', 'x')")
    project.succeed("uv", "run", "pytest")
    for check in ("ruff format --check src migrations", "ruff check src migrations", "mypy"):
        project.succeed("uv", "run", *check.split())
    third = (project.path / MODELS).read_text(encoding="utf-8")

    output = finish(project, "Afterwards: drop the old column")
    assert "No new upgrade operations detected" in output
    assert "body" not in nullable(uri)
    fourth = (project.path / MODELS).read_text(encoding="utf-8")
    (project.path / MODELS).write_text(third, encoding="utf-8")
    add_note(project, "third, which does not notice")
    (project.path / MODELS).write_text(fourth, encoding="utf-8")
    add_note(project, "fourth")
    assert rows(uri, "SELECT count(*), count(content) FROM note") == [(2509, 2509)]
    assert rows(uri, "SELECT count(*) FROM note WHERE content LIKE 'text %'") == [(2502,)]
    assert names(project) == [
        "initial_migration",
        "add_content",
        "fill_the_rest_of_content",
        *(REQUIRED if kind == "postgresql" else ["require_content"]),
        "body_is_optional",
        "drop_body",
    ]
    project.succeed("uv", "run", "pytest")


LOOP = """
with op.get_context().autocommit_block():
    for number in range(1, 101):
        op.get_bind().execute(sa.text(f"UPDATE note SET body = 'filled' WHERE id = {number}"))
        print("filled", number, flush=True)
        time.sleep(0.02)
"""


@pytest.mark.parametrize(("kind", "keeps"), [("sqlite", False), ("postgresql", True)])
def test_batches_in_a_revision_are_kept_on_postgresql_only(
    kind: str, keeps: bool, on: Make
) -> None:
    project, uri = on(kind)
    fill(uri, 100)
    project.add_revision("loop", LOOP)

    with project.start("flask", "db", "upgrade") as upgrade:
        assert upgrade.stdout
        while "filled 10\n" not in upgrade.stdout.readline():
            assert upgrade.poll() is None
        upgrade.kill()

    ((kept,),) = rows(uri, "SELECT count(*) FROM note WHERE body = 'filled'")
    assert isinstance(kept, int)
    assert (kept > 0) is keeps
    assert kept < 100
    project.flask("db", "upgrade")
    assert rows(uri, "SELECT count(*) FROM note WHERE body = 'filled'") == [(100,)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_not_null_column_is_added_in_three_steps(kind: str, on: Make) -> None:
    project, uri = on(kind)
    fill(uri, 3)
    not_null_at_once(project)

    finish(project, "First step: nullable, and new rows have it")
    fill(uri, 1)  # by the old release
    add_note(project, "first")
    assert rows(uri, "SELECT count(*), count(updated_at) FROM note") == [(5, 1)]
    assert nullable(uri)["updated_at"] is True

    finish(project, "Second step: fill")
    assert rows(uri, "SELECT count(updated_at) FROM note") == [(5,)]
    old = "SELECT count(*) FROM note WHERE title LIKE 'note %' AND updated_at = created_at"
    assert rows(uri, old) == [(4,)]

    output = finish(project, "Third step: NOT NULL")
    assert "No new upgrade operations detected" in output
    assert nullable(uri)["updated_at"] is False
    assert rows(uri, "SELECT count(*), count(updated_at) FROM note") == [(5, 5)]
    add_note(project, "last")
    for check in ("ruff format --check src migrations", "ruff check src migrations", "mypy"):
        project.succeed("uv", "run", *check.split())
    project.succeed("uv", "run", "pytest")


def not_null_at_once(project: Project) -> None:
    """Try what the page says of `Mapped[dt.datetime]`."""
    path = project.path / MODELS
    before = path.read_text()
    body = "    body: Mapped[str] = mapped_column(Text)\n"
    path.write_text(before.replace(body, f"{body}    updated_at: Mapped[dt.datetime]\n"))
    done = project.run("uv", "run", "flask", "db", "migrate", "-m", "add updated_at")
    path.write_text(before)

    said = "The new column note.updated_at is NOT NULL and has no server default."
    assert done.returncode == 1
    assert said in done.stdout
    assert said in " ".join(PAGE.split())


def test_a_large_table_of_postgresql_is_checked_without_a_lock(on: Make) -> None:
    project, uri = on("postgresql")
    fill(uri, 3)
    finish(project, "First step: nullable, and new rows have it")
    third = follow(project, "Third step: NOT NULL")
    next(third)

    # A row is left, so that it stops in the middle; after the fill the same upgrade succeeds.
    failed = project.run("uv", "run", "flask", "db", "upgrade")
    assert failed.returncode == 1
    assert "ck_note_updated_at_not_null" in failed.stdout
    checks = "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_note_updated_at_not_null'"
    assert rows(uri, checks) == [(False,)]
    with engine_of(uri).begin() as connection, pytest.raises(DBAPIError, match="not_null"):
        connection.execute(text("INSERT INTO note (title, body) VALUES ('x', 'x')"))
    execute(uri, "UPDATE note SET updated_at = created_at")

    assert "No new upgrade operations detected" in "".join(third)
    assert nullable(uri)["updated_at"] is False
    assert rows(uri, checks) == []
    project.flask("db", "downgrade")
    assert nullable(uri)["updated_at"] is True
    assert rows(uri, checks) == [(False,)]
    project.flask("db", "upgrade")


def test_two_heads_are_merged(fresh_project: Project) -> None:
    project = fresh_project
    base = project.flask("db", "heads").split()[0]
    project.flask("db", "revision", "-m", "mine")
    project.flask("db", "revision", "-m", "theirs", "--head", base, "--splice")
    assert "test_there_is_one_head" in project.run("uv", "run", "pytest").stdout

    output = finish(project, "Two heads")

    assert output.count("(head)") == 2
    assert "No new upgrade operations detected" in output
    assert project.flask("db", "heads").count("(head)") == 1
    assert "(head)" in project.flask("db", "current")
    project.succeed("uv", "run", "pytest")


def lose_a_revision(project: Project) -> Path:
    """Upgrade by a revision that adds a column, and remove it and the column's model."""
    body = "    body: Mapped[str] = mapped_column(Text)\n"
    project.replace(MODELS, body, f"{body}    source: Mapped[str | None]\n")
    project.flask("db", "migrate", "-m", "add source", "--rev-id", LOST)
    project.flask("db", "upgrade")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    project.succeed("git", "checkout", "--quiet", "-b", "theirs")
    project.succeed("git", "add", "--all")
    project.succeed("git", *identity, "commit", "--quiet", "-m", "Add source")
    project.replace(MODELS, f"{body}    source: Mapped[str | None]\n", body)
    (lost,) = project.path.glob(f"migrations/versions/*_{LOST}_*.py")
    lost.unlink()
    project.succeed("git", "add", "--all")
    project.succeed("git", *identity, "commit", "--quiet", "-m", "Lose it")
    return lost


def test_a_lost_revision_is_named_and_found_in_git(fresh_project: Project) -> None:
    lost = lose_a_revision(fresh_project)
    finish(fresh_project, "A lost revision")
    for command in (["check"], ["upgrade"], ["migrate", "-m", "x"]):
        assert LOST in fresh_project.run("uv", "run", "flask", "db", *command).stdout

    assert f"{LOST} (head)" in finish(fresh_project, "Get the file back")
    assert lost.exists()


def test_without_the_lost_file_its_change_is_found_and_undone(fresh_project: Project) -> None:
    project = fresh_project
    fill(sqlite_uri(project), 2)
    lose_a_revision(project)
    assert (
        "Can't locate revision" in project.run("uv", "run", "flask", "db", "stamp", "head").stdout
    )

    output = finish(project, "Go on without the file")

    assert output.rstrip().endswith("No new upgrade operations detected.")
    assert "source" not in nullable(sqlite_uri(project))
    assert rows(sqlite_uri(project), "SELECT count(*) FROM note") == [(2,)]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_that_are_there_are_adopted(kind: str, on: Make) -> None:
    project, uri = on(kind)
    fill(uri, 2)
    execute(uri, "DROP TABLE alembic_version")

    output = finish(project, "Adopt an existing database")

    assert output.rstrip().endswith("No new upgrade operations detected.")
    assert rows(uri, "SELECT count(*) FROM note") == [(2,)]
    execute(uri, "ALTER TABLE note ADD COLUMN extra INTEGER")
    differs = project.run("uv", "run", "flask", "db", "check")
    assert differs.returncode == 1
    assert "extra" in differs.stdout


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_deployment_makes_the_database_past_the_pooler(
    kind: str, on: Make, request: pytest.FixtureRequest
) -> None:
    project, _ = on(kind)
    server: Server = request.getfixturevalue(kind)
    uri = driver_named(server.uri(server.name_to_drop()))
    elsewhere = Project(project.path, {**project.env, "MIGRATION_DATABASE_URL": uri})

    assert f"Created the database {make_url(uri).database}" in finish(
        elsewhere, "What a deployment does"
    )
    assert nullable(uri)["body"] is False
    again = finish(elsewhere, "What a deployment does")
    assert "Created" not in again
    assert "Running upgrade" not in again
    nowhere = {**project.env, "MIGRATION_DATABASE_URL": driver_named(server.uri("x", port=9))}
    assert Project(project.path, nowhere).run("uv", "run", "flask", "db", "prepare").returncode == 1


def test_the_settings_and_defaults_are_those_of_the_application(project: Project) -> None:
    table = dict(re.findall(r"^\| `(MIGRATION_\w+)` \| ([\w.]+) \|", PAGE, re.MULTILINE))
    script = (
        "from my_app import create_app\n"
        "for name, value in create_app().config.items():\n"
        "    if name.startswith('MIGRATION_'):\n"
        "        print(name, 'none' if value is None else format(value, 'g'))\n"
    )

    printed = project.succeed("uv", "run", "python", "-c", script).splitlines()

    assert table == dict(line.split() for line in printed)


def test_old_releases_stay_ready_and_new_ones_wait(fresh_project: Project) -> None:
    project = fresh_project
    with project.serve() as old:
        assert old("/readyz")[0] == 200
        project.add_revision("new", 'op.create_table("new", sa.Column("id", sa.Integer()))')
        with project.serve() as new:
            assert new("/readyz")[0] == 503
            assert new("/healthz")[0] == 200
            finish(project, "What a deployment does")
            assert new("/readyz")[0] == 200
        project.revisions()[-1].unlink()  # as in the folder of the old release
        assert old("/readyz")[0] == 200


KILLED = """
op.create_table("a", sa.Column("id", sa.Integer()))
op.create_table("b", sa.Column("id", sa.Integer()))
print("waiting", flush=True)
time.sleep(WAIT)
op.create_table("c", sa.Column("id", sa.Integer()))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_deployment_that_was_killed_is_done_again(kind: str, on: Make) -> None:
    project, uri = on(kind)
    project.add_revision("first", 'op.create_table("first", sa.Column("id", sa.Integer()))')
    project.add_revision("second", KILLED.replace("WAIT", "60"))
    with project.start("flask", "db", "prepare") as prepare:
        assert prepare.stdout
        assert prepare.stdout.readline() == "waiting\n"
        prepare.kill()

    engine = engine_of(uri)
    made = {"first", "a", "b", "c", "alembic_unfinished"} & set(inspect(engine).get_table_names())
    assert (
        made
        == {
            "sqlite": set(),
            "postgresql": {"first"},
            "mysql": {"first", "a", "b", "alembic_unfinished"},
        }[kind]
    )

    project.replace(str(project.revisions()[-1].relative_to(project.path)), "sleep(60)", "sleep(0)")
    finish(project, "What a deployment does")
    tables = set(inspect(engine).get_table_names())
    assert {"first", "a", "b", "c"} <= tables
    assert "alembic_unfinished" not in tables
    assert "(head)" in project.flask("db", "current")
