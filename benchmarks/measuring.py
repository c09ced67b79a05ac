"""What the benchmarks share: projects and databases to measure in, and tables of what was measured."""

from __future__ import annotations

import os
import re
import sqlite3
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from servers import Server

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parent
STOCK = f"{HERE / 'stock.py'}:create_app"  # for `flask --app`
# A user's machine keeps what Python has compiled, and is in no environment.
FOREIGN = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in FOREIGN}

Ratios = dict[str, dict[str, list[float]]]  # of what, on which database: of each round
Value = TypeVar("Value")


def databases() -> Iterator[tuple[str, Server | None]]:
    """SQLite, and each server of the tests that answers; our databases on it are dropped after."""
    sys.path.insert(0, str(TEMPLATE / "tests"))
    import servers
    from sqlalchemy import make_url
    from sqlalchemy.exc import OperationalError

    yield "SQLite", None
    for variable, default in servers.DEFAULTS.items():
        url = make_url(os.environ.get(variable) or default)
        driver = servers.NAMED_DRIVERS[url.get_backend_name()]
        server = servers.Server(url.set(drivername=driver))
        try:
            server.run("SELECT 1")
        except OperationalError:
            print(f"No server answers at {variable}: left out.", file=sys.stderr)
            continue
        try:
            yield _name_of(server), server
        finally:
            server.clean()


def _name_of(server: Server) -> str:
    if server.kind == "postgresql":
        return "PostgreSQL"
    return "MariaDB" if "MariaDB" in _version(server) else "MySQL"


def version_of(server: Server | None) -> str:
    """As in 3.40.1, 15.2 or 10.11.6."""
    text = _version(server) if server else sqlite3.sqlite_version
    return re.split(r"[ -]", text.removeprefix("PostgreSQL "))[0]


def _version(server: Server) -> str:
    with server.connect() as connection:
        return str(connection.exec_driver_sql("SELECT version()").scalar())


def new_uri(server: Server | None) -> str:
    """The URI of a database that is still to be made."""
    return server.uri(server.name_to_drop()) if server else "sqlite:///my_app.db"


def make_project(folder: str | Path, uri: str, *answers: str) -> Path:
    """Make a project on the database, in this folder, with the default answers but for these."""
    subprocess.run(
        [
            "cookiecutter",
            TEMPLATE,
            "--no-input",
            "--output-dir",
            folder,
            f"database_uri={uri}",
            *answers,
        ],
        check=True,
        env=ENVIRONMENT | {"SET_UP_STRICT": "1"},
        stdout=subprocess.DEVNULL,
    )
    return Path(folder) / "my_app"


def run(project: Path, program: str, *arguments: str | Path) -> str:
    """Run a program of the project's environment, and give what it prints."""
    command = [project / ".venv" / "bin" / program, *arguments]
    done = subprocess.run(command, cwd=project, env=ENVIRONMENT, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def in_turns(rounds: int, sides: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Each side in each round, so that the machine's moods meet all of them alike."""
    for number in range(rounds):
        yield from sides.items() if number % 2 else reversed(list(sides.items()))


def ratios(ours: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, others, strict=True)]


def summary(numbers: list[float]) -> str:
    """The median, and the lowest to the highest."""
    if not numbers:
        return ""
    median = statistics.median(numbers)
    digits = 0 if median >= 100 else 1 if median >= 10 else 2 if median >= 0.1 else 4
    return f"{median:.{digits}f} ({min(numbers):.{digits}f} to {max(numbers):.{digits}f})"


def head(*cells: str) -> None:
    row(*cells)
    print("|---" * len(cells) + "|", flush=True)


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)
