"""The commands of `flask`, and how long each takes beside those of a bare application.

    uv run python benchmarks/commands.py

The bare one, bare.py, is Flask, Flask-SQLAlchemy and Flask-Migrate with the stock environment, in
an environment of its own, with the same versions. Both sides have pytest, because Mako imports what
it brings. `flask run` is measured to its first answer. They take turns, so that the machine's moods
meet both alike.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from measuring import Ratios, head, in_turns, make_project, new_uri, ratios, row, summary
from serving import BARE, OURS, Side, make_bare, make_side

ROUNDS = 11
COMMANDS = ("--help", "routes", "db current", "db upgrade", "db check", "shell", "run")


def main() -> Ratios:
    """Measure on SQLite, and print the table."""
    found: Ratios = defaultdict(dict)
    print(f"Seconds: median of {ROUNDS} rounds (lowest to highest); target for the ratio: 1.15\n")
    head("command", OURS, BARE, "ratio")
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, new_uri(None))
        ours = make_side(project)
        bare = make_bare(Path(folder), ours, BARE, "flask-migrate", "pytest")
        bare = replace(bare, env=bare.env | {"DATABASE_URL": f"sqlite:///{folder}/bare.db"})
        for command in ("db init", "db migrate", "db upgrade"):
            run(bare, command)
        for command in COMMANDS:
            sides, times = {OURS: ours, BARE: bare}, defaultdict(list)
            for side in sides.values():
                seconds(side, command, project)  # compiles what it imports
            for name, side in in_turns(ROUNDS, sides):
                times[name].append(seconds(side, command, project))
            ratio = ratios(times[OURS], times[BARE])
            found[f"`flask {command}`"]["SQLite"] = ratio
            row(f"`flask {command}`", *map(summary, (times[OURS], times[BARE], ratio)))
    return found


def seconds(side: Side, command: str, project: Path) -> float:
    """How long a command takes; of the server, how long until its first answer."""
    if command == "run":
        with side.serve("flask run", project / "gunicorn.conf.py") as served:
            return served.start
    started = time.perf_counter()
    run(side, command)
    return time.perf_counter() - started


def run(side: Side, command: str) -> None:
    done = subprocess.run(
        [side.python, "-m", "flask", *command.split()],
        cwd=side.folder,
        env=side.env | {"FLASK_APP": side.flask_app},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"flask {command} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
