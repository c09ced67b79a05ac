"""Visitors and programs, who read and write without a pause while something happens to the application."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from conftest import SCRIPTS, get, run

NOTE = json.dumps({"title": "Milk", "body": "Two litres", "tags": ["home", "shop"]})
GOOD = {("GET", 200), ("POST", 201)}
# The right statuses by RFC 6585 and RFC 9110, where schemathesis expects others: If-Match is missing
# or empty, or names another version.
SCHEMATHESIS = f"""
hooks = "{SCRIPTS / "schemathesis_hooks.py"}"
[checks]
missing_required_header.expected-statuses = [422, 428]
positive_data_acceptance.expected-statuses = ["2xx", "3xx", 404, 409, 412, 428]
"""

Answers = Counter[tuple[str, int]]


def run_schemathesis(folder: Path, port: int, *options: str) -> str:
    """Have schemathesis find no fault in the API on this port, and return what it prints."""
    (folder / "schemathesis.toml").write_text(SCHEMATHESIS)
    description = f"http://127.0.0.1:{port}/api/openapi.json"
    options += ("--checks=all", "--generation-database=none", "--warnings=off", "--no-color")
    command = ["schemathesis", "run", description, *options]
    done = run(command, cwd=folder, env=os.environ, timeout=1200)
    assert done.returncode == 0, done.stdout
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass
class Clients:
    """Several at a time."""

    port: int
    answers: Answers = field(default_factory=Counter)  # by method and status
    slowest: float = 0.0  # seconds
    failures: list[str] = field(default_factory=list)  # requests without an answer

    @contextmanager
    def at_work(self, number: int = 3) -> Iterator[None]:
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                self.ask("GET", "/notes/")
                self.ask("POST", "/api/notes")
                self.ask("GET", "/api/notes")

        threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def ask(self, method: str, path: str) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        started = time.monotonic()
        try:
            body = NOTE if method == "POST" else None
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            self.answers[method, response.status] += 1
            if response.status == 503:
                time.sleep(0.05)  # as one that tries again would
        except (OSError, HTTPException) as error:
            self.failures.append(f"{method} {path} {error!r}")
        finally:
            connection.close()
        self.slowest = max(self.slowest, time.monotonic() - started)

    def go_on(self, number: int = 20) -> Answers:
        """Wait until they have got so many answers more, and return those."""
        before = self.answers.copy()
        wait_until(lambda: self.answers.total() > before.total() + number)
        return self.answers - before


@dataclass
class Checks:
    """A balancer, which asks whether the application lives and can serve."""

    port: int
    answers: list[tuple[float, str, int, float]] = field(default_factory=list)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        over = threading.Event()

        def ask(path: str) -> None:
            while not over.wait(0.05):
                began = time.monotonic()
                try:
                    status, _ = get(self.port, path)
                except (OSError, HTTPException):
                    status = 0
                ended = time.monotonic()
                self.answers.append((ended, path, status, ended - began))

        threads = [threading.Thread(target=ask, args=(path,)) for path in ("/healthz", "/readyz")]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def wait_for(self, status: int, seconds: float) -> float:
        """The seconds from now until /readyz answers so."""
        began = time.monotonic()

        def said() -> float:
            return next(
                (
                    ended - began
                    for ended, path, given, _ in list(self.answers)
                    if ended > began and path == "/readyz" and given == status
                ),
                0.0,
            )

        wait_until(lambda: said() > 0, seconds)
        return said()

    def slowest(self, path: str) -> float:
        return max(seconds for _, asked, _, seconds in self.answers if asked == path)

    def statuses(self, path: str) -> set[int]:
        return {status for _, asked, status, _ in self.answers if asked == path}
