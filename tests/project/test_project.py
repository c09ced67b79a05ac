"""A project that has been set up, as its user sees it."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Callable

import pytest
import servers
from conftest import BODY, MODELS, PRICE, Project, User
from sqlalchemy import make_url


@pytest.mark.quick
def test_the_set_up_ends_with_a_migrated_database(project: Project) -> None:
    assert len(project.revisions()) == 1
    assert "(head)" in project.flask("db", "current")
    assert "No new upgrade operations detected" in project.flask("db", "check")


@pytest.mark.quick
def test_the_set_up_leaves_nothing_behind(user: User) -> None:
    project = user.project()
    assert not list(project.path.glob("__pycache__"))
    assert stat.S_IMODE((project.path / ".env").stat().st_mode) == 0o600
    assert project.succeed("git", "check-ignore", ".env", ".venv", "instance")


@pytest.mark.quick
def test_each_step_is_printed_with_its_time(project: Project) -> None:
    steps = re.findall(r"^  ✓ (.*?) +\d+\.\d s$", project.output, re.MULTILINE)

    assert steps == [
        "install the packages in .venv",
        "import the application",
        "flask db init",
        'flask db migrate -m "initial migration"',
        "flask db upgrade",
        "flask db check",
        "git init",
    ]


ADDRESSES = ["/", "/healthz", "/readyz", "/notes", "/api/notes", "/api/docs", "/api/openapi.json"]


@pytest.mark.quick
def test_its_addresses_answer(project: Project) -> None:
    with project.serve() as get:
        assert {path: get(path)[0] for path in ADDRESSES} == dict.fromkeys(ADDRESSES, 200)


def test_its_tests_pass_in_several_processes(project: Project) -> None:
    project.succeed("uv", "run", "pytest", "-n", "2")


def test_every_query_and_warning_of_the_set_up_is_clean_under_warnings_as_errors(
    project: Project,
) -> None:
    project.succeed("uv", "run", "python", "-W", "error", "-m", "flask", "db", "check")


def test_tests_leave_the_development_database_as_it_was(project: Project) -> None:
    database = project.path / "instance" / "my_app.db"
    before = database.read_bytes()

    project.succeed("uv", "run", "pytest")

    assert database.read_bytes() == before


@pytest.mark.thorough
def test_a_second_project_has_a_database_of_its_own(
    project: Project, new_user: Callable[[], User]
) -> None:
    second = new_user().project("project_name=Second")

    assert (second.path / "instance" / "second.db").exists()
    assert [path.name for path in (project.path / "instance").glob("*.db")] == ["my_app.db"]


def test_the_life_of_a_model(fresh_project: Project) -> None:
    project = fresh_project
    project.replace(MODELS, BODY, BODY + PRICE)

    red = project.run("uv", "run", "pytest", "tests/test_migrations.py")
    assert red.returncode == 1
    assert "test_no_model_is_ahead_of_the_revisions" in red.stdout
    assert project.run("uv", "run", "flask", "db", "check").returncode == 1

    project.flask("db", "migrate", "-m", "add price")
    assert re.fullmatch(r"\d{8}_\d{6}_[0-9a-f]{12}_add_price\.py", project.revisions()[-1].name)
    project.flask("db", "upgrade")
    project.flask("db", "check")
    project.succeed("uv", "run", "pytest")
    project.succeed("uv", "run", "ruff", "format", "--check")
    project.succeed("uv", "run", "ruff", "check")

    project.flask("db", "downgrade", "base")
    assert project.revisions()[0].name.split("_")[2] not in project.flask("db", "current")
    project.flask("db", "upgrade")
    project.flask("db", "check")
    assert "No changes" in project.flask("db", "migrate", "-m", "nothing")
    assert len(project.revisions()) == 2


def test_a_pending_migration_takes_the_application_out_of_rotation(fresh_project: Project) -> None:
    fresh_project.replace(MODELS, BODY, BODY + PRICE)
    fresh_project.flask("db", "migrate", "-m", "add price")

    with fresh_project.serve() as get:
        assert get("/readyz")[0] == 503
        assert "Migrations are pending" in get("/")[1]
        fresh_project.flask("db", "upgrade")
        assert get("/readyz")[0] == 200
        assert "Migrations are pending" not in get("/")[1]


@pytest.mark.thorough
def test_migrations_can_be_initialized_again(fresh_project: Project) -> None:
    """`flask db init` writes the environment of the extension, not the stock one."""
    project = fresh_project
    before = project.revisions()[0].read_text().partition("def upgrade")[2]
    shutil.rmtree(project.path / "migrations")
    shutil.rmtree(project.path / "instance")

    project.flask("db", "init")
    project.flask("db", "migrate", "-m", "initial migration")

    assert "flask_safe_migrations" in (project.path / "migrations" / "env.py").read_text()
    assert project.revisions()[0].read_text().partition("def upgrade")[2] == before
    project.flask("db", "upgrade")
    project.flask("db", "check")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_without_the_right_to_create_databases_the_tests_name_the_statement(
    kind: str, on: Callable[[str], tuple[Project, str]], request: pytest.FixtureRequest
) -> None:
    project, uri = on(kind)
    server: servers.Server = request.getfixturevalue(kind)
    user, database = server.new_user("pw"), make_url(uri).database
    assert database
    server.grant_all(user, database)
    own = servers.driver_named(server.uri(database, user, "pw"))
    project.replace(".env", uri, own)

    for processes in ("0", "2"):
        refused = project.run("uv", "run", "pytest", "-q", "-n", processes, "tests/test_notes.py")
        statements = re.findall(r"by: (ALTER ROLE .*? CREATEDB|GRANT .*?);", refused.stdout)
        assert refused.returncode
        assert len(refused.stdout) < 10_000

    server.run(statements[0].replace("%", "%%"))
    project.succeed("uv", "run", "pytest", "-q", "tests/test_notes.py")
