"""Pages and an API, served by the project and by a bare application: requests, memory, start.

    uv run python benchmarks/serving.py

The bare one, bare.py, is Flask and Flask-SQLAlchemy in an environment of their own, with the same
versions, on the same database. Both are served by gunicorn with the project's settings, one worker
of 4 threads, and asked over 8 connections, kept alive, by a process of its own. They take turns, so
that the machine's moods meet both alike: of each round, the ratio counts. On SQLite the project
is measured without some of its parts, too, so that the cost of each is seen. Linux only: the
worker's processor time and memory (PSS) are those of /proc.

The PostgreSQL server is that of the tests, TEST_POSTGRESQL_URL.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import (
    HERE,
    Ratios,
    databases,
    head,
    in_turns,
    make_project,
    new_uri,
    ratios,
    row,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
SECONDS = 1
STARTS = 5
CONNECTIONS = 8
NOTES = 20
BODY = {"title": "Milk and bread", "body": "Two litres, one loaf", "tags": ["home", "shop"]}
# Method, path and status; the notes are written last, so that reading finds as many each time.
ACTIONS = {
    "page": ("GET", "/notes/", 200),
    "API read": ("GET", "/api/notes", 200),
    "API write": ("POST", "/api/notes", 201),
}
READS = [(method, path) for method, path, _ in ACTIONS.values() if method == "GET"]
OURS, BARE = "ours", "bare"
MIGRATING = "bare with Flask-Migrate"  # whose import of Alembic is a part of start and memory
PARTS = {
    "nothing": "what differs is noise",
    "headers": "of security.py, on each response",
    "logs": "request ids, and a line for each request",
    "CSRF": "the check before each request",
    "queries": "counted and timed",
    "transactions": "BEGIN and BEGIN IMMEDIATE, on SQLite",
    "all": "of these",
}
TARGETS = {
    "requests/s": "≥ 0.9",
    "p99, ms": "≤ 1.1",
    "processor, ms": "",
    "memory, MB": "≤ 1.1",
    "first answer, s": "≤ 1.25",
}
# What the project's gunicorn.conf.py imports, for the bare application.
CONFIG = """
from types import SimpleNamespace

ConfigurationError = ValueError


def load_config():
    return SimpleNamespace(WEB_THREADS=4)
"""
LENGTH = re.compile(rb"(?i)content-length: (\d+)")


@dataclass
class Side:
    """One of the applications, and how it is started."""

    name: str
    folder: Path
    python: Path
    wsgi_app: str
    flask_app: str
    env: dict[str, str]

    @contextmanager
    def serve(self, server: str, config: Path) -> Iterator[Served]:
        """Run gunicorn or the `flask run` of development, until the first answer and then on."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        if server == "gunicorn":
            options = ["--config", str(config), "--pythonpath", str(HERE), "--max-requests", "0"]
            arguments = [server, *options, self.wsgi_app]
        else:
            arguments = ["flask", "run", "--port", str(port)]
        settings = {"PORT": str(port), "WEB_CONCURRENCY": "1", "WEB_THREADS": "4"}
        settings["FLASK_APP"] = self.flask_app
        with (
            (self.folder / f"{self.name}.log").open("w") as log,
            subprocess.Popen(
                [self.python, "-m", *arguments],
                cwd=self.folder,
                env=self.env | settings,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                started = time.perf_counter()
                while not answers(port):
                    if process.poll() is not None:
                        sys.exit(f"{self.name} has ended:\n{Path(log.name).read_text()}")
                    time.sleep(0.005)
                yield Served(process.pid, port, time.perf_counter() - started)
            finally:
                process.terminate()


@dataclass
class Served:
    """A server that runs; gunicorn has one worker."""

    pid: int
    port: int
    start: float  # seconds

    @property
    def worker(self) -> Path:
        (pid,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return Path("/proc") / pid

    def processor(self) -> float:
        """Seconds that the worker has computed."""
        fields = (self.worker / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MB of the worker, with its part of what processes share."""
        text = (self.worker / "smaps_rollup").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) / 1024

    def get(self, method: str, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port)
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(BODY) if method == "POST" else None, headers)
        return connection.getresponse().read().decode()

    def load(self, action: str, seconds: float) -> dict[str, float]:
        """Ask as fast as it answers, from another process; see `ask`."""
        before = self.processor()
        command = [sys.executable, __file__, str(self.port), action, str(seconds)]
        asked: dict[str, float] = json.loads(subprocess.check_output(command))
        return {
            "requests/s": asked["number"] / asked["seconds"],
            "p99, ms": asked["p99"] * 1000,
            "processor, ms": (self.processor() - before) / asked["number"] * 1000,
            "client": asked["processor"],
        }


Measured = defaultdict[tuple[str, str], dict[str, list[float]]]  # of an action, what, of a side


def main() -> Ratios:
    """Measure on SQLite and PostgreSQL, and print the tables."""
    found: Ratios = defaultdict(dict)
    print(f"{ROUNDS} rounds of {SECONDS:g} s, {STARTS} starts: median (lowest to highest)\n")
    head("measured", "", "ours", "bare", "ours / bare", "target")
    for database, server in databases():
        if database in ("SQLite", "PostgreSQL"):
            with tempfile.TemporaryDirectory() as folder:
                parts = [] if server else [*PARTS]
                measured = measure_all(Path(folder), new_uri(server), parts)
            rows(database, measured, found)
            if parts:
                spent = {action: measured[action, "processor, ms"] for action in ACTIONS}
    print("\nWithout a part of the project, on SQLite: processor time / that with all parts\n")
    head("without", *ACTIONS)
    for part, about in PARTS.items():
        row(f"{part}: {about}", *(summary(ratios(one[part], one[OURS])) for one in spent.values()))
    return found


def measure_all(folder: Path, uri: str, parts: list[str]) -> Measured:
    """Make a project and the bare application, and measure both, and the project without parts."""
    project = make_project(folder, uri)
    sides = make_sides(folder, project, parts)
    config = project / "gunicorn.conf.py"
    measured: Measured = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        served = {
            name: stack.enter_context(side.serve("gunicorn", config))
            for name, side in sides.items()
            if name != MIGRATING
        }
        for _ in range(NOTES):
            served[OURS].get("POST", "/api/notes")
        compare(served)
        for action in ACTIONS:
            for name, one in in_turns(ROUNDS, served):
                one.load(action, SECONDS / 10)
                for what, number in one.load(action, SECONDS).items():
                    measured[action, what][name].append(number)
    compared = {name: sides[name] for name in (OURS, BARE, MIGRATING)}
    for side in compared.values():  # once before it counts, to compile what each of them imports
        with side.serve("flask run", config):
            pass
    for name, side in in_turns(STARTS, compared):
        with side.serve("flask run", config) as one:
            measured["flask run", "first answer, s"][name].append(one.start)
        with side.serve("gunicorn", config) as one:
            measured["gunicorn", "first answer, s"][name].append(one.start)
            for action in ACTIONS:
                one.load(action, SECONDS / 2)
            measured["worker", "memory, MB"][name].append(one.memory())
    return measured


def make_sides(folder: Path, project: Path, parts: list[str]) -> dict[str, Side]:
    """The project, whole and without parts, and the bare application beside it."""
    ours = make_side(project)
    sides = [
        ours,
        make_bare(folder, ours, BARE),
        make_bare(folder, ours, MIGRATING, "flask-migrate"),
    ]
    for part in parts:
        sides.append(replace(ours, name=part, wsgi_app=f"serving:without({part!r})"))
    return {side.name: side for side in sides}


def make_side(project: Path) -> Side:
    """The project, with settings as in production."""
    (line,) = (
        line for line in (project / ".env").read_text().splitlines() if "DATABASE_URL" in line
    )
    url = line.partition("=")[2].strip("\"'")
    url = url.replace("sqlite:///", f"sqlite:///{project / 'instance'}/")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"SECRET_KEY": "0123456789abcdef" * 4, "DATABASE_URL": url, "FLASK_DEBUG": "0"}
    python = project / ".venv" / "bin" / "python"
    return Side(OURS, project, python, "my_app:create_app()", "my_app", env)


def make_bare(place: Path, ours: Side, name: str, *packages: str) -> Side:
    """Write the bare application, and install packages of the project's versions for it."""
    package, folder = ours.folder / "src" / "my_app", place / name
    shutil.copytree(package / "templates", folder / "templates")
    shutil.copytree(package / "notes" / "templates", folder / "templates", dirs_exist_ok=True)
    shutil.copytree(package / "static", folder / "static")
    shutil.copy(HERE / "bare.py", folder / "app.py")
    (folder / "my_app").mkdir()
    (folder / "my_app" / "config.py").write_text(CONFIG)
    python = folder / ".venv" / "bin" / "python"

    def uv(python: Path, *arguments: str | Path) -> str:
        command = ["uv", *arguments, "--quiet", "--python", python]
        return subprocess.check_output(command, text=True)

    versions = folder / "versions.txt"
    versions.write_text(uv(ours.python, "pip", "freeze", "--exclude-editable"))
    drivers = [
        line
        for line in versions.read_text().splitlines()
        if line.startswith(("psycopg", "pymysql"))
    ]
    uv(ours.python, "venv", folder / ".venv")
    # The last is for gunicorn's own lines: both sides have the same settings.
    common = ["flask", "flask-sqlalchemy", "gunicorn", "python-json-logger"]
    uv(python, "pip", "install", "--constraints", versions, *common, *packages, *drivers)
    factory = f"app:create_app({'migrations=True' if 'flask-migrate' in packages else ''})"
    return replace(
        ours, name=name, folder=folder, python=python, wsgi_app=factory, flask_app=factory
    )


def compare(served: dict[str, Served]) -> None:
    """End where the answers differ."""
    for method, path in READS:
        expected, *others = (one.get(method, path) for one in served.values())
        for name, text in zip([*served][1:], others, strict=True):
            if "Milk and bread" not in text or as_read(text) != as_read(expected):
                sys.exit(f"{name} answers differently to {method} {path}:\n{text}")


def as_read(text: str) -> object:
    """The text; of JSON, the spaces and the order don't count."""
    return json.loads(text) if text.startswith("{") else text


def answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def rows(database: str, measured: Measured, found: Ratios) -> None:
    for (action, what), sided in measured.items():
        for other in (BARE, MIGRATING):
            if other in sided and what in TARGETS:
                beside = f", {other}" if other == MIGRATING else ""
                ratio = ratios(sided[OURS], sided[other])
                found[f"{action}, {what}{beside}"][database] = ratio
                numbers = (summary(times) for times in (sided[OURS], sided[other], ratio))
                target = TARGETS[what] if other == BARE else ""
                row(f"{database}, {action}{beside}", what, *numbers, target)
    busiest = max(max(rounds[BARE]) for (_, what), rounds in measured.items() if what == "client")
    row(f"{database}, the client", "of a processor, at most", "", f"{busiest:.2f}", "", "")


def ask(port: int, action: str, seconds: float) -> None:
    """Ask over all connections for some seconds, and print what came of it."""

    async def one(request: bytes, status: bytes, end: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        times = []
        while (started := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 " + status):
                sys.exit(head.decode())
            await reader.readexactly(int(LENGTH.search(head)[1]))  # type: ignore[index]
            times.append(time.perf_counter() - started)
        writer.close()
        return times

    async def all_of_them() -> list[list[float]]:
        method, path, status = ACTIONS[action]
        body = json.dumps(BODY) if method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        end = time.perf_counter() + seconds
        return await asyncio.gather(
            *(one(request, str(status).encode(), end) for _ in range(CONNECTIONS))
        )

    started, before = time.perf_counter(), time.process_time()
    times = sorted(time for times in asyncio.run(all_of_them()) for time in times)
    took = time.perf_counter() - started
    asked = {
        "number": len(times),
        "seconds": took,
        "p99": times[int(len(times) * 0.99)],
        "processor": (time.process_time() - before) / took,
    }
    print(json.dumps(asked))


def without(part: str) -> Any:  # noqa: ANN401
    """Make the project's application without some of its parts; gunicorn calls it."""
    from my_app import create_app, database
    from my_app.config import load_config
    from sqlalchemy import event

    config = load_config()
    config.SQLALCHEMY_RECORD_QUERIES = part not in ("queries", "all")
    app = create_app(config)

    def leave_out(name: str) -> None:
        for functions in (app.before_request_funcs, app.after_request_funcs):
            kept = [function for function in functions[None] if function.__name__ != name]
            if kept != functions[None]:
                functions[None] = kept
                return
        raise LookupError(name)

    with app.app_context():
        used = database.db.engine
    if part in ("headers", "all"):
        leave_out("_add_headers")
    if part in ("logs", "all"):
        leave_out("_begin_request")
        leave_out("_log_request")
    if part in ("CSRF", "all"):
        leave_out("csrf_protect")
    if part in ("transactions", "all"):
        event.remove(used, "begin", database._begin_on_sqlite)
        event.listen(used, "connect", lambda made, _: setattr(made, "isolation_level", ""))
    return app


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
    else:
        main()
