"""All benchmarks, or those that are named, and the table of them in docs/speed.md.

    uv run python benchmarks [NAME…]

With UPDATE_DOCS=1 in the environment, the ratios are written to the table, each with its machine.
Rows of benchmarks that are not run stay as they are.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from measuring import TEMPLATE, Ratios, databases, head, row, summary, version_of

# Of each benchmark, what docs/speed.md shows, by the name that it has there.
SHOWN = {
    "generating": {
        "first run, seconds": "from the command to the migrated application, first run / what can't be left out",
        "later run, seconds": "the same, later runs",
    },
    "commands": {
        "`flask db upgrade`": "`flask db upgrade` with nothing to do / a bare application's",
        "`flask run`": "`flask run` to the first answer / a bare application's",
    },
    "serving": {
        "page, requests/s": "requests for a page per second / a bare application's",
        "API read, requests/s": "reads of the API per second / a bare application's",
        "API write, requests/s": "writes of the API per second / a bare application's",
        "worker, memory, MB": "memory of a gunicorn worker / a bare application's",
    },
    "suite": {"tests: each": "one test of 1,000 / one with `create_all` and `drop_all`"},
    "revisions": {
        "`flask db upgrade` from nothing, 1,000 revisions": "1,000 revisions from nothing / stock environment",
        "`flask db upgrade` at head, 1,000 revisions": "1,000 revisions, nothing to do / stock environment",
    },
    "growing": {
        "`flask db migrate`, 500 tables": "`flask db migrate` with 500 tables / stock environment",
        "`flask db check`, 500 tables": "`flask db check` with 500 tables / stock environment",
        "notes, page: newest": "page of the newest of 1,000,000 notes / of 10,000",
        "notes, API: by tag, of every other note": "notes of a tag in the API, 1,000,000 / 10,000",
    },
    "accounts": {
        "accounts: page of 20 notes, ms": "milliseconds for a page, with accounts / without",
        "accounts: the same from the API, ms": "the same from the API",
        "accounts: start, seconds": "start of a command, with accounts / without",
        "accounts: memory, MB": "memory, with accounts / without",
        "accounts: its tests, seconds": "the project's own tests, with accounts / without",
    },
    "sqlite_writers": {"notes/s of eight writers": "writes of eight processes / stock settings"},
}
DATABASES = ("SQLite", "PostgreSQL", "MariaDB")
START, END = "<!-- benchmarks -->\n", "<!-- end of benchmarks -->\n"
PAGE = TEMPLATE / "docs" / "speed.md"


def main() -> None:
    """Run them, and show or write the table."""
    unknown = [name for name in sys.argv[1:] if name not in SHOWN]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no benchmark. There are {', '.join(SHOWN)}.")
    measured = {}
    for name in sys.argv[1:] or SHOWN:
        print(f"\n# {name}\n", flush=True)
        found: Ratios = importlib.import_module(name).main()
        measured |= {text: found[what] for what, text in SHOWN[name].items()}
        if os.environ.get("UPDATE_DOCS") == "1":  # after each: all of them take long
            PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")
    print("\n# What docs/speed.md shows\n")
    head("ours / other", *DATABASES)
    for text, ratios in measured.items():
        row(text, *cells(ratios))
    print(f"\n{machine()}")


def cells(ratios: dict[str, list[float]]) -> list[str]:
    return [summary(ratios.get(database, [])) for database in DATABASES]


def updated(page: str, measured: Ratios) -> str:
    """The text with the rows that were measured, in the order of SHOWN, and this machine."""
    before, rest = page.split(START)
    table, after = rest.split(END)
    rows = dict(re.findall(r"^\| ([^|]+?) (\|.+)$", table, re.MULTILINE))
    rows |= {
        text: f"| {' | '.join([*cells(ratios), processor()])} |"
        for text, ratios in measured.items()
    }
    names = [text for shown in SHOWN.values() for text in shown.values() if text in rows]
    columns = ["ours / other", *DATABASES, "processor, and when"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {name} {rows[name]}" for name in names]
    return before + START + "\n".join(lines) + f"\n\n{machine()}\n" + END + after


def processor() -> str:
    """Of this machine, and the day."""
    model = platform.processor() or platform.machine()
    if (cpus := Path("/proc/cpuinfo")).exists():
        model = re.search(r"model name\s*: (.+)", cpus.read_text())[1]  # type: ignore[index]
    return f"{os.cpu_count()} cores of {model.replace('(R)', '')}, {date.today()}"  # noqa: DTZ011


def machine() -> str:
    """What the newest figures come from: no name, no path."""
    memory = ""
    if (file := Path("/proc/meminfo")).exists():
        memory = f"{int(file.read_text().split()[1]) / 2**20:.0f} GB, "
    versions = [f"{name} {version(name)}" for name in ("cookiecutter", "SQLAlchemy", "uv")]
    versions += [f"{name} {version_of(server)}" for name, server in databases()]
    return (
        f"Median (lowest to highest) of the rounds. The newest: {memory}{platform.system()}, Python"
        f" {platform.python_version()}, {', '.join(versions)}."
    )


if __name__ == "__main__":
    main()
