"""A set-up that is cut off leaves no process, and one command finishes it.

ROUNDS=50 in the environment cuts it off 50 times at any moment, instead of 3 times.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pexpect
import pytest
from clients import wait_until
from conftest import ROUNDS, TEMPLATE, User, at_the_prompt, commands_printed_by
from reliability import report

pytestmark = pytest.mark.thorough

LONGEST = 10  # seconds until no process is left, on a busy machine
COMMAND_LINES = {  # regular expressions
    "cookiecutter": "bin/cookiecutter ",
    "the hook": r"python\S* \S+\b[a-z0-9_]{11}\.py ",  # a temporary file
    "uv": "uv sync",
    "the steps": r"bin/setup_database\.py",
}


class Making:
    """A project that is being made, by processes in a group of their own."""

    def __init__(self, user: User, *answers: str) -> None:
        self.user = user
        self.output = ""
        self.process = subprocess.Popen(
            ["cookiecutter", str(TEMPLATE), "--no-input", *answers],
            cwd=user.folder,
            env=user.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )

    def read_until(self, text: str) -> None:
        assert self.process.stdout
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, self.output
            self.output += line

    def send(self, number: int, whom: str) -> float:
        """Send a signal to one process or to all; return the seconds until none is left."""
        if whom != "all":
            wait_until(lambda: bool(self.user.processes(COMMAND_LINES[whom])))
        started = time.monotonic()
        with suppress(ProcessLookupError):
            if whom == "all":
                os.killpg(self.process.pid, number)
            else:
                os.kill(min(self.user.processes(COMMAND_LINES[whom])), number)
        self.output += self.process.communicate()[0]
        wait_until(lambda: not self.user.processes(), LONGEST)
        seconds = time.monotonic() - started
        assert seconds < LONGEST
        return seconds

    def finish(self) -> None:
        """Run the printed command; where nothing was printed, that of the README."""
        command = [sys.executable, "my_app/bin/set_up.py"]
        if "To finish, run:" in self.output:
            printed = self.output.partition("Aborted!")[0]
            command = ["bash", "-c", commands_printed_by(printed)[0]]
        done = self.user.run(*command)
        assert "✓ flask db check" in done.stdout, done.stdout
        assert "Traceback" not in done.stdout


@pytest.mark.parametrize("case", ["Ctrl-C at a question", "the terminal is closed at a question"])
def test_cut_off_at_a_question(case: str, user: User) -> None:
    terminal = at_the_prompt(user)
    for number in (1, 2):
        terminal.expect_exact(f"[{number}/")
        terminal.sendline("")
    terminal.expect_exact("[3/")
    if case == "Ctrl-C at a question":
        terminal.sendintr()
        terminal.expect_exact("Aborted!")
        terminal.expect(pexpect.EOF)
        assert "Traceback" not in str(terminal.before)
    terminal.close()

    assert not terminal.isalive()
    assert user.files() == []
    report("Interruptions", case, "nothing is written")


INSTALLING, IMPORTING, UPGRADING = "Setting up", "✓ install", "✓ flask db migrate"
CASES = {
    "Ctrl-C before the migration": (signal.SIGINT, "all", IMPORTING, "sqlite"),
    "the terminal is closed": (signal.SIGHUP, "all", IMPORTING, "sqlite"),
    "TERM to all processes": (signal.SIGTERM, "all", IMPORTING, "sqlite"),
    "TERM to cookiecutter while packages are installed": (signal.SIGTERM, "cookiecutter", INSTALLING, "sqlite"),
    "TERM to the hook": (signal.SIGTERM, "the hook", IMPORTING, "sqlite"),
    "KILL to cookiecutter": (signal.SIGKILL, "cookiecutter", IMPORTING, "sqlite"),
    "KILL to uv": (signal.SIGKILL, "uv", INSTALLING, "sqlite"),
    "KILL to all processes while the database is migrated": (signal.SIGKILL, "all", UPGRADING, "mysql"),
    "KILL to the process that migrates": (signal.SIGKILL, "the steps", UPGRADING, "postgresql"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_command_finishes_what_was_cut_off(
    case: str, user: User, new_uri: Callable[[str], str]
) -> None:
    number, whom, moment, kind = CASES[case]
    making = Making(user, f"database_uri={new_uri(kind)}")
    making.read_until(moment)

    seconds = making.send(number, whom)

    assert "Traceback" not in making.output
    if number == signal.SIGKILL and whom in ("uv", "the steps"):
        assert "The step was ended by SIGKILL." in making.output
    making.finish()
    result = f"no process left after {seconds:.1f} s, finished by one command"
    report("Interruptions", case, result, on="" if kind == "sqlite" else kind)


def test_of_a_hook_that_was_killed_nothing_is_left(user: User) -> None:
    """Cookiecutter then deletes the project, while the migration waits for a server."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        making = Making(user, f"database_uri=postgresql://somebody@127.0.0.1:{port}/data")
        making.read_until(UPGRADING)

        seconds = making.send(signal.SIGKILL, "the hook")

    shutil.rmtree(user.folder / "my_app", ignore_errors=True)  # what was written meanwhile
    assert "✓ flask db check" in user.project().output
    result = f"no process left after {seconds:.1f} s, the same command works again"
    report("Interruptions", "KILL to the hook", result)


def test_cut_off_at_any_moment(user: User) -> None:
    slowest = 0.0
    for number in range(ROUNDS):
        chance = random.Random(number)  # noqa: S311
        making = Making(user)
        time.sleep(chance.uniform(0.2, 4))
        signals = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP]
        slowest = max(slowest, making.send(chance.choice(signals), "all"))

        made = user.folder / "my_app"
        is_written = (made / "bin").exists() and not (made / ".being_written").exists()
        if is_written:
            making.finish()
        else:  # cookiecutter was still writing
            shutil.rmtree(made, ignore_errors=True)
            assert "✓ flask db check" in user.project().output
        shutil.rmtree(made)

    result = f"no process left after {slowest:.1f} s, finished by one command or made again"
    report(
        "Interruptions",
        "any signal to all processes, at any moment",
        result,
        tries=ROUNDS,
        ordinary=3,
    )
