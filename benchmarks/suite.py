"""The generated tests' isolation, beside a schema that is made and dropped for each test.

    uv run python benchmarks/suite.py

1, 100 and 1,000 tests, made by parametrisation, each write a note and find it alone. On one side
each is in a transaction that is undone, as in the generated tests/conftest.py; on the other, each
begins with `create_all` and ends with `drop_all`. "A test" is what each test costs beyond the
first: the difference between two numbers of tests, by the number of tests between them.

The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from measuring import (
    Ratios,
    databases,
    head,
    in_turns,
    make_project,
    new_uri,
    ratios,
    row,
    run,
    summary,
)

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

NUMBERS = {1: 3, 100: 3, 1000: 1}  # of tests, and how often they are run
TESTS = """
from types import SimpleNamespace

import pytest
from factories import make_note
from my_app import create_app
from my_app.database import db
from my_app.notes import queries, visible_notes


@pytest.fixture
def recreated(config):
    app = create_app(SimpleNamespace(**config))
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
        assert [note.title for note in queries.list_notes(visible_notes(), limit=10)] == [f"Note {{number}}"]
"""
SIDES = {"undone": "app", "recreated": "recreated"}

Times = defaultdict[int, dict[str, list[float]]]


def main() -> Ratios:
    """Measure on each database, and print a table."""
    found: Ratios = defaultdict(dict)
    rounds = ", ".join(f"{number} of {tests:,}" for tests, number in NUMBERS.items())
    print(f"Seconds: median of {rounds} tests. Target on the servers: a fifth for each test\n")
    head("database", "tests", *SIDES, "ratio")
    for database, server in databases():
        measure(database, server, found)
    return found


def measure(database: str, server: Server | None, found: Ratios) -> None:
    """Make a project on the database, and print the rows of the table."""
    times: Times = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, new_uri(server))
        run_tests(project, 1, "app")  # compiles what is imported
        for number, rounds in NUMBERS.items():
            for side, fixture in in_turns(rounds, SIDES):
                times[number][side].append(run_tests(project, number, fixture))
    for number, sided in times.items():
        add(database, f"{number:,}", sided, found)
    few, *_, many = times
    each = {
        side: [
            (long - statistics.median(times[few][side])) / (many - few)
            for long in times[many][side]
        ]
        for side in SIDES
    }
    add(database, "each", each, found)


def run_tests(project: Path, number: int, fixture: str) -> float:
    """Seconds that pytest takes."""
    file = project / "tests" / "test_isolation.py"
    file.write_text(TESTS.format(number=number, fixture=fixture))
    started = time.perf_counter()
    run(project, "pytest", "-q", file)
    return time.perf_counter() - started


def add(database: str, tests: str, sided: dict[str, list[float]], found: Ratios) -> None:
    undone, recreated = (sided[side] for side in SIDES)
    ratio = ratios(undone, recreated)
    found[f"tests: {tests}"][database] = ratio
    row(database, tests, *(summary(numbers) for numbers in (undone, recreated, ratio)))


if __name__ == "__main__":
    main()
