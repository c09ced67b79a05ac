"""The password of the database is in .env and nowhere else."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pexpect
import pytest
from conftest import QUESTIONS, User, at_the_prompt
from passwords import BEGINNING, PASSWORD, QUOTED, files_with_the_password
from servers import Server

Answer = Callable[[Server, str, str], str]


def right(server: Server, user: str, database: str) -> str:
    return server.uri(database, user, PASSWORD)


def wrong(server: Server, user: str, database: str) -> str:
    return server.uri(database, user, PASSWORD + "x")


def down(server: Server, user: str, database: str) -> str:
    return server.uri(database, user, PASSWORD, port=9)


def unknown_host(server: Server, user: str, database: str) -> str:
    return server.uri(database, user, PASSWORD, host="db.invalid")


def missing(server: Server, user: str, database: str) -> str:
    return server.uri("nothing_of_this_name", user, PASSWORD)


def in_the_options(server: Server, user: str, database: str) -> str:
    return server.uri(database, user) + f"?password={QUOTED}"


@contextmanager
def watch_processes(user: User) -> Iterator[list[str]]:
    """Collect the command lines that hold the password, of all the user's processes meanwhile."""
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.extend(user.processes(BEGINNING).values())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["postgresql_with_passwords", "mysql"])
@pytest.mark.parametrize("answer", [right, wrong, down, unknown_host, missing, in_the_options])
def test_the_password_is_in_env_and_nowhere_else(
    answer: Answer, kind: str, user: User, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    name, database = server.new_user(PASSWORD), server.new_database()
    server.grant_all(name, database)
    temporary = user.folder / "temporary"
    temporary.mkdir()
    identity = {
        f"GIT_{who}_{what}": "t@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    user.env |= {"TMPDIR": str(temporary), **identity}

    terminal = at_the_prompt(user)
    with watch_processes(user) as seen:
        for question in QUESTIONS:
            terminal.expect_exact("): ")
            given = answer(server, name, database) if question == "database_uri" else ""
            terminal.sendline(given)
        terminal.expect_exact("Setting up")
        terminal.expect(pexpect.EOF)
    terminal.close()

    env = user.folder / "my_app" / ".env"
    assert files_with_the_password(user.home, user.folder) == [env]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert "S3cret" not in str(terminal.before)
    assert "Traceback" not in str(terminal.before)
    assert ("✓ flask db check" in str(terminal.before)) == (answer in (right, in_the_options))
    assert seen == []


def test_a_password_on_the_command_line_is_not_recorded(user: User, mysql: Server) -> None:
    name, database = mysql.new_user(PASSWORD), mysql.new_database()
    mysql.grant_all(name, database)

    user.project(f"database_uri={mysql.uri(database, name, PASSWORD)}")

    assert files_with_the_password(user.home, user.folder) == [user.folder / "my_app" / ".env"]


ADDRESS = f"postgresql://me:{QUOTED}@localhost/shop"


def by_configuration(user: User) -> list[str]:
    config = {"default_context": {"database_uri": ADDRESS}}
    (user.home / ".cookiecutterrc").write_text(json.dumps(config))
    return []


def by_a_file_of_configuration(user: User) -> list[str]:
    config = user.home / "config.yaml"
    config.write_text(json.dumps({"replay_dir": str(user.home / "records")}))
    return [f"--config-file={config}", f"database_uri={ADDRESS}"]


@pytest.mark.thorough
@pytest.mark.parametrize("answer", [by_configuration, by_a_file_of_configuration])
def test_a_password_that_is_not_typed_is_not_recorded(
    answer: Callable[[User], list[str]], user: User
) -> None:
    """Red where cookiecutter records answers elsewhere, or once more."""
    done = user.cookiecutter("--no-input", "set_up_now=no", *answer(user))

    assert done.returncode == 0, done.stdout
    (record,) = user.home.glob("*/*.json")
    assert '"database_uri": "postgresql+psycopg://me@localhost/shop"' in record.read_text()
    (user.home / ".cookiecutterrc").unlink(missing_ok=True)  # that is the user's own
    assert files_with_the_password(user.home, user.folder) == [user.folder / "my_app" / ".env"]


def test_a_password_for_a_project_that_exists_is_not_recorded(user: User) -> None:
    (user.folder / "my_app").mkdir()

    done = user.cookiecutter("--no-input", f"database_uri={ADDRESS}")

    assert "already exists" in done.stdout
    assert files_with_the_password(user.home, user.folder) == []


@pytest.mark.thorough
def test_a_replay_asks_for_the_password_in_env(user: User, mysql: Server) -> None:
    name, database = mysql.new_user(PASSWORD), mysql.new_database()
    mysql.grant_all(name, database)
    first = user.project(f"database_uri={mysql.uri(database, name, PASSWORD)}")
    first.path.rename(user.folder / "first")

    done = user.cookiecutter("--replay")

    assert done.returncode == 0
    assert "Access denied" in done.stdout
    assert "correct DATABASE_URL" in done.stdout
    assert "DATABASE_URL is set in .env." in done.stdout


def test_the_watch_sees_a_password(user: User) -> None:
    with watch_processes(user) as seen:
        user.run("bash", "-c", "sleep 1; true", PASSWORD)

    assert PASSWORD in seen[0]


def test_the_search_finds_a_password(user: User) -> None:
    user.run("git", "init", "--quiet")
    (user.folder / "file").write_text(QUOTED)
    user.run("git", "add", "file")

    assert len(files_with_the_password(user.folder)) == 2
