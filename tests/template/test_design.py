"""The code stays small and plain: its lines and words, its Jinja, and its language are counted."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import PROJECT, TEMPLATE, Bake, run

pytestmark = pytest.mark.quick

EXTENSION = "src/flask_safe_migrations"
GENERATOR = "src/flask_generate"
# Names and words of former releases, which no Flask developer uses.
FORMER_NAMES = (
    "_say_unavailable|Gate|PATIENCE|Occupied|_is_news|_tag_of|_whom|_let_go|WholeNumber"
    "|tell_in_a_line|ROOM|TAKEN|MISLEADING|api_docs|overload"
)
FORMER_WORDS = (
    "heeds?|anew|mend(s|ed)?|told|whoever|whichever way|would hurt|what for|a line that says"
    "|licence|behaviour"
)
ALLOWED_WORDS = ("CHANGELOG.md", "tests/template/test_design.py")


def count_lines(folder: Path) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py"))


def count_words(folder: Path) -> int:
    return sum(
        len(path.read_text(encoding="utf-8").split())
        for path in folder.rglob("*")
        if path.suffix in (".py", ".html")
    )


def test_what_the_owner_has_to_read_is_little(bake: Bake) -> None:
    package = bake() / "src" / "my_app"

    assert 500 < count_lines(package) <= 1_100
    assert 2_000 < count_words(package) <= 6_000


def test_the_extension_stays_small() -> None:
    assert 1_000 < count_lines(PROJECT / EXTENSION) <= 3_500


def test_the_generator_stays_small() -> None:
    assert 500 < count_lines(PROJECT / GENERATOR) <= 1_600


def jinja_statements() -> list[tuple[str, str]]:
    """The lines with a statement of Jinja in the Python files of the project: (file, line)."""
    return [
        (str(path.relative_to(PROJECT)), line)
        for path in PROJECT.rglob("*.py")
        if EXTENSION not in path.as_posix() and GENERATOR not in path.as_posix()
        for line in path.read_text(encoding="utf-8").splitlines()
        if "{%" in line
    ]


def test_jinja_is_rare_in_python_and_has_lines_of_its_own() -> None:
    statements = jinja_statements()

    assert [line for _, line in statements if not re.fullmatch(r"\s*{%[^%]*%}\s*", line)] == []
    conditions = [(name, line) for name, line in statements if re.search(r"{%-? *if", line)]
    assert 0 < len(conditions) <= 30
    assert len({name for name, _ in conditions}) <= 10


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (FORMER_NAMES, ["*.py", "*.toml", "*.html"]),
        (
            FORMER_WORDS,
            ["Dockerfile", "*.py", "*.md", "*.html", "*.txt", "*.toml", "*.json", "*.yml"],
        ),
    ],
    ids=["names", "words"],
)
def test_no_word_is_met_here_for_the_first_time(words: str, files: list[str]) -> None:
    allowed = [f":!{name}" for name in ALLOWED_WORDS]
    options = ["-nIE", *(["-iw"] if words == FORMER_WORDS else ["-w"])]

    found = run(
        ["git", "grep", *options, words, "--", *files, *allowed], cwd=TEMPLATE, env=os.environ
    )

    assert found.stdout == ""
