"""The page docs/reliability.md says what the tests see, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reliability
from conftest import TEMPLATE
from reliability import report

PAGE = """# Title

## One

Words.

| fault | tries | result |
| --- | --- | --- |
| b fault | 1 | back after 0.4 s |

## Two
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("UPDATE_RELIABILITY", raising=False)
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_what_is_on_the_page_may_be_seen_with_other_figures(page: Path) -> None:
    report("One", "b fault", "back after 1.25 s", tries=3, page=page)

    assert page.read_text() == PAGE


@pytest.mark.parametrize(
    ("section", "fault", "result"),
    [
        ("One", "a fault", "back after 0.4 s"),
        ("Two", "b fault", "back after 0.4 s"),
        ("One", "b fault", "gone after 0.4 s"),
    ],
)
def test_what_is_not_on_the_page_is_an_error(
    page: Path, section: str, fault: str, result: str
) -> None:
    with pytest.raises(AssertionError):
        report(section, fault, result, page=page)


def test_rows_are_written_in_order_and_others_are_kept(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDATE_RELIABILITY", "1")

    report("One", "a fault", "nothing", on="mysql", page=page)
    report("Two", "c fault", "nothing", tries=5000, ordinary=300, page=page)
    report("Two", "c fault", "nothing", tries=300, ordinary=300, page=page)

    row = "| a fault (MySQL/MariaDB) | 1 | nothing |\n| b fault"
    expected = PAGE.replace("| b fault", row) + f"\n{reliability.HEADER}"
    assert page.read_text() == expected + "| c fault | 5,000 (300 in an ordinary run) | nothing |\n"


def test_another_result_takes_the_place_of_one_of_the_night(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPDATE_RELIABILITY", "1")

    report("Two", "c fault", "nothing", tries=5000, ordinary=300, page=page)
    report("Two", "c fault", "something", tries=300, ordinary=300, page=page)

    assert reliability.tables(page)["Two"] == {"c fault": ("300", "something")}


def test_each_fault_on_the_page_is_one_of_a_test() -> None:
    tests = "".join(path.read_text() for path in (TEMPLATE / "tests").rglob("test_*.py"))
    faults = [fault for rows in reliability.tables().values() for fault in rows]

    names = [re.sub(r" \((SQLite|PostgreSQL|MySQL/MariaDB)\)$", "", fault) for fault in faults]
    assert [name for name in names if f'"{name}"' not in tests] == []
