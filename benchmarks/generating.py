"""From the command to the migrated application: time, processor time, memory, beside a floor.

    uv run python benchmarks/generating.py

The floor is what can't be left out: a cookiecutter template of one file, `uv sync` of the same
project, and one process that does init, migrate, upgrade and check with the stock environment on
the same tables. Both sides have a warm package cache, an empty database, and a new environment,
whose packages nobody has compiled yet. In a "first" run, cookiecutter isn't compiled, either.

The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import ENVIRONMENT, HERE, TEMPLATE, Ratios, databases, head, ratios, row, summary

if TYPE_CHECKING:
    from servers import Server

ROUNDS = 5
STEP = re.compile(r"✓ (.+?) +([0-9.]+) s$", re.MULTILINE)
ALL = "from the command to the end"
ONE_PROCESS = """
import app, flask_migrate
with app.create_app(migrations=True).app_context():
    flask_migrate.init()
    flask_migrate.migrate(message="initial migration")
    flask_migrate.upgrade()
    try:
        flask_migrate.check()
    except IndexError:  # where it has found nothing to say, in a process that has called migrate
        pass
"""

Measured = defaultdict[str, list[float]]


def main() -> Ratios:
    """Measure on each database, and print the tables."""
    found: Ratios = defaultdict(dict)
    print(f"Median of {ROUNDS} rounds (lowest to highest); target for the ratio of seconds: 1.25\n")
    head("database", "run", "measured", "ours", "floor", "ratio")
    steps = {database: measure(database, server, found) for database, server in databases()}
    print()
    head("on SQLite, in a later run", "ours, s", "floor, s")
    ours, floor = (steps["SQLite"][side] for side in ("ours", "floor"))
    for name in dict.fromkeys([*ours, *floor]):
        row(name, summary(ours[name]), summary(floor[name]))
    return found


def measure(database: str, server: Server | None, found: Ratios) -> dict[str, Measured]:
    """Print the rows of a database, and give how long the steps of the later runs took."""
    for run in ("first", "later"):
        steps: dict[str, Measured] = {side: defaultdict(list) for side in ("ours", "floor")}
        spent: dict[str, Measured] = {side: defaultdict(list) for side in ("ours", "floor")}
        for number in range(ROUNDS + 1):
            with tempfile.TemporaryDirectory() as folder:
                measured = {
                    # The floor takes over what has been generated.
                    "ours": generate(Path(folder), server, run),
                    "floor": do_least(Path(folder), server, run),
                }
            if number > 0:  # before, uv may have had to fetch a package
                for side, (taken, used) in measured.items():
                    for name, seconds in taken.items():
                        steps[side][name].append(seconds)
                    for what, amount in used.items():
                        spent[side][what].append(amount)
        for what, ours in spent["ours"].items():
            floor = spent["floor"][what]
            ratio = ratios(ours, floor)
            found[f"{run} run, {what}"][database] = ratio
            row(database, run, what, summary(ours), summary(floor), summary(ratio))
    return steps


Result = tuple[dict[str, float], dict[str, float]]  # seconds of each step; what all of it used


def generate(folder: Path, server: Server | None, run: str) -> Result:
    """Make a project, as a user does."""
    uri = server.uri(server.new_database()) if server else "sqlite:///my_app.db"
    command = ["cookiecutter", TEMPLATE, "--no-input", "-o", folder, f"database_uri={uri}"]
    usage = Usage()
    output = usage.run(command, folder, {"SET_UP_STRICT": "1"} | compiled_nothing(folder, run))
    steps = {name: float(seconds) for name, seconds in STEP.findall(output)}
    steps = {"write the files": usage.seconds - sum(steps.values())} | steps
    return steps | {ALL: usage.seconds}, usage.all()


def do_least(folder: Path, server: Server | None, run: str) -> Result:
    """Do what the template can't do without."""
    from servers import driver_named

    template, project = folder / "template", folder / "floor"
    (template / "{{cookiecutter.name}}").mkdir(parents=True)
    (template / "cookiecutter.json").write_text('{"name": "one_file"}')
    (template / "{{cookiecutter.name}}" / "README.md").write_text("{{cookiecutter.name}}\n")
    kept = shutil.ignore_patterns(".*", "uv.lock", "migrations", "instance")
    shutil.copytree(folder / "my_app", project, ignore=kept)
    shutil.copy(HERE / "bare.py", project / "app.py")
    uri = server.uri(server.new_database()) if server else f"sqlite:///{folder}/floor.db"
    settings = {"DATABASE_URL": driver_named(uri), "SECRET_KEY": "0123456789abcdef" * 2}
    environment = settings | compiled_nothing(folder / "floor", run)
    usage, steps = Usage(), {}
    for name, command in (
        ("write the files", ["cookiecutter", template, "--no-input", "-o", folder]),
        ("install the packages in .venv", ["uv", "sync"]),
        ("one process for the database", [project / ".venv" / "bin" / "python", "-c", ONE_PROCESS]),
    ):
        before = usage.seconds
        usage.run(command, project, environment)
        steps[name] = usage.seconds - before
    return steps | {ALL: usage.seconds}, usage.all()


class Usage:
    """What commands use, one after another."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.processor = 0.0  # seconds
        self.memory = 0.0  # MiB of the largest process

    def run(self, command: list[str | Path], folder: Path, environment: dict[str, str]) -> str:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout  # noqa: S101
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds += time.perf_counter() - started
        self.processor += usage.ru_utime + usage.ru_stime
        self.memory = max(self.memory, usage.ru_maxrss / 1024)
        if process.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{output}")
        return output

    def all(self) -> dict[str, float]:
        return {
            "seconds": self.seconds,
            "processor, seconds": self.processor,
            "largest process, MiB": self.memory,
        }


def compiled_nothing(folder: Path, run: str) -> dict[str, str]:
    """In a first run, Python finds nothing that it has compiled before."""
    return {"PYTHONPYCACHEPREFIX": str(folder / "compiled")} if run == "first" else {}


if __name__ == "__main__":
    main()
