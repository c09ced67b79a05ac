"""The same command twice at the same time: one project, one migration, and no one's work undone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import pytest
from conftest import ROUNDS, Project, User
from reliability import report
from servers import KINDS, Server

pytestmark = pytest.mark.thorough

TWO = "Two at once"
Done = CompletedProcess[str]


def at_once(*commands: Callable[[], Done]) -> list[Done]:
    with ThreadPoolExecutor() as pool:
        done = [future.result() for future in [pool.submit(command) for command in commands]]
    assert not [output for output in done if "Traceback" in output.stdout]
    return done


def test_two_that_write_the_same_project(new_user: Callable[[], User]) -> None:
    for _ in range(ROUNDS):
        user = new_user()
        commands = [lambda user=user: user.cookiecutter("--no-input", "set_up_now=no")] * 2
        loser, winner = sorted(at_once(*commands), key=lambda done: -done.returncode)

        assert (winner.returncode, loser.returncode) == (0, 1)
        assert loser.stdout.count("\n") == 1
        assert "already exists" in loser.stdout or "another cookiecutter" in loser.stdout
        made = user.folder / "my_app"
        assert not (made / ".being_written").exists()
        assert (made / "bin" / "set_up.py").exists()
    report(
        TWO,
        "the same command in the same folder",
        "one writes the project, the other is refused in one line",
        tries=ROUNDS,
        ordinary=3,
    )


def test_two_that_set_up_the_same_project(user: User) -> None:
    path = user.project("set_up_now=no").path
    command = [sys.executable, str(path / "bin" / "set_up.py")]
    loser, winner = sorted(
        at_once(*[lambda: user.run(*command)] * 2), key=lambda done: -done.returncode
    )

    assert (winner.returncode, loser.returncode) == (0, 1)
    assert "Another process is setting up the project: wait for it." in loser.stdout
    project = Project(path, user.env)
    assert len(project.revisions()) == 1
    assert "(head)" in project.flask("db", "current")
    report(
        TWO, "bin/set_up.py of the same project", "one sets it up, the other is refused in one line"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_two_that_migrate_the_same_database(
    kind: str,
    new_user: Callable[[], User],
    new_uri: Callable[[str], str],
    request: pytest.FixtureRequest,
) -> None:
    if kind == "sqlite":
        uri = new_uri(kind)
    else:
        server: Server = request.getfixturevalue(kind)
        uri = server.uri(server.name_to_drop())  # each finds it missing
    users = [new_user(), new_user()]
    done = at_once(
        *[
            lambda user=user: user.cookiecutter("--no-input", f"database_uri={uri}")
            for user in users
        ]
    )

    for output in done:
        assert "✓ flask db check" in output.stdout, output.stdout
    report(TWO, "the same command on the same new database", "both are set up", on=kind)
