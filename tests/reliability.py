"""Holds the tables of docs/reliability.md to what the tests see; with UPDATE_RELIABILITY=1, writes them.

A test that plays a fault reports it at its end, in one of the page's sections:

    report("Interruptions", "Ctrl-C while packages are installed", "explained, with the command to finish", tries=3)

What is reported has to be on the page; figures in the result may differ. Where a test makes more tries at
night, it gives the ordinary number, too, and an ordinary run keeps the figures of the night:

    report(section, fault, result, tries=ROUNDS, ordinary=3)

Where a fault is played on several databases, `on` names the one: "sqlite", "postgresql", "mysql".
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from conftest import TEMPLATE

PAGE = TEMPLATE / "docs" / "reliability.md"
HEADER = "| fault | tries | result |\n| --- | --- | --- |\n"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL/MariaDB"}

Row = tuple[str, str]  # tries, result


def report(
    section: str,
    fault: str,
    result: str,
    *,
    tries: int = 1,
    ordinary: int | None = None,
    on: str = "",
    page: Path = PAGE,
) -> None:
    """Hold a row of the page against what was seen, or write it."""
    fault += f" ({NAMES[on]})" if on else ""
    at_night = f" ({ordinary:,} in an ordinary run)" if ordinary not in (None, tries) else ""
    if os.environ.get("UPDATE_RELIABILITY") == "1":
        with page.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            write(section, fault, (f"{tries:,}{at_night}", result), page)
    row = tables(page)[section].get(fault)
    assert row, f"docs/reliability.md, {section}, lacks {fault!r}: UPDATE_RELIABILITY=1 writes it"
    assert without_figures(row[1]) == without_figures(result)


def without_figures(result: str) -> str:
    return re.sub(r"\d[\d.,]*", "#", result)


def tables(page: Path = PAGE) -> dict[str, dict[str, Row]]:
    """For each section, its faults, with the tries and the result."""
    _, *sections = page.read_text(encoding="utf-8").split("\n## ")
    found: dict[str, dict[str, Row]] = {}
    for section in sections:
        title, *lines = section.splitlines()
        cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        found[title] = {fault: (tries, result) for fault, tries, result in cells[2:]}
    return found


def write(section: str, fault: str, row: Row, page: Path) -> None:
    rows = tables(page)[section]
    before = rows.get(fault, ("", ""))
    from_the_night = "ordinary" in before[0] and "ordinary" not in row[0]
    if from_the_night and without_figures(before[1]) == without_figures(row[1]):
        return
    rows[fault] = row
    table = HEADER + "".join(
        f"| {name} | {tries} | {result} |\n" for name, (tries, result) in sorted(rows.items())
    )
    head, start, rest = page.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    own, end, others = rest.partition("\n## ")
    words = own.partition("\n| ")[0].strip("\n")
    text = f"\n{words}\n\n{table}" if words else f"\n{table}"
    page.write_text(head + start + text + end + others, encoding="utf-8")
