"""The generated tests' isolation, beside a schema that is made and dropped for each test.

    uv run python benchmarks/suite.py

1, 100 and 1,000 tests, made by parametrisation, each write a note and find it alone. On one side
each is in a transaction that is undone, as in the generated tests/conftest.py; on the other, each
begins with `create_all` and ends with `drop_all`. "A test" is what each test costs beyond the
first: the difference between two numbers of tests, by the number of tests between them.

The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

TEMPLATE = Path(__file__).resolve().parents[1]
NUMBERS = {1: 5, 100: 3, 1000: 1}  # of tests, and how often they are run
TESTS = """
import pytest
from factories import make_note
from my_app import create_app
from my_app.database import db
from my_app.notes import queries


@pytest.fixture
def made_anew(settings):
    app = create_app(settings)
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.session.remove()
        db.drop_all()
        db.engine.dispose()


@pytest.mark.parametrize("number", range({number}))
def test_note(number, {fixture}):
    make_note({fixture}, f"Note {{number}}")
    with {fixture}.app_context():
        assert [note.title for note in queries.find(limit=10)] == [f"Note {{number}}"]
"""
SIDES = {"undone": "app", "made anew": "made_anew"}

Times = dict[int, dict[str, list[float]]]


def main() -> None:
    """Measure on each database, and print a table."""
    sys.path.insert(0, str(TEMPLATE / "tests"))
    import servers
    from revisions import find, name_of

    rounds = ", ".join(f"{number} of {tests:,}" for tests, number in NUMBERS.items())
    print(f"Seconds: median of {rounds} tests. Target on the servers: a fifth for each test\n")
    print("| database | tests | undone | made anew | ratio |\n|---|---|---|---|---|", flush=True)
    measure("SQLite", "sqlite:///my_app.db")
    missing = []
    for variable in servers.DEFAULTS:
        with find(variable) as server:
            if server:
                measure(name_of(server), server.uri(server.name_to_drop()))
            else:
                missing.append(f"No server answers at {variable}: left out.")
    print(*missing, sep="\n")


def measure(database: str, uri: str) -> None:
    """Make a project on the database, and print the rows of the table."""
    from revisions import make_project

    times: Times = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, uri)
        run(project, TESTS.format(number=1, fixture="app"), "app")  # compiles what is imported
        for number, rounds in NUMBERS.items():
            for _ in range(rounds):
                for side, fixture in SIDES.items():
                    text = TESTS.format(number=number, fixture=fixture)
                    times[number][side].append(run(project, text, fixture))
    medians = {
        number: {side: statistics.median(taken) for side, taken in sided.items()}
        for number, sided in times.items()
    }
    for number, median in medians.items():
        row(database, f"{number:,}", median, digits=2)
    first, *_, last = medians
    each = {side: (medians[last][side] - medians[first][side]) / (last - first) for side in SIDES}
    row(database, "each", each, digits=4)


def run(project: Path, text: str, fixture: str) -> float:
    """Seconds that pytest takes."""
    file = project / "tests" / "test_isolation.py"
    file.write_text(text)
    env = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
    command = [project / ".venv" / "bin" / "pytest", "-q", file]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=project, env=env, text=True, capture_output=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"The tests with {fixture} failed:\n{done.stdout}")
    return seconds


def row(database: str, tests: str, seconds: dict[str, float], digits: int) -> None:
    cells = [f"{seconds[side]:.{digits}f}" for side in SIDES]
    ratio = seconds["undone"] / seconds["made anew"]
    print(f"| {database} | {tests} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
