"""What breaks under an application that serves: it answers cleanly meanwhile, and goes on afterwards."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection

import pytest
from conftest import Project, get
from sqlalchemy import make_url, text
from test_migrating import engine_of

Make = Callable[[str], tuple[Project, str]]
NOTE = json.dumps({"title": "Milk", "tags": ["home", "shop"]})
LONGEST = 5  # seconds for an answer, whatever happens to the database
RECOVERY = 10  # seconds after the database is back


class Proxy:
    """Stands between the application and its database, and can cut them off from each other."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                theirs = socket.create_connection(self.target)
                self.open += [ours, theirs]
                for one, other in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        self._close(one, other)

    def _close(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self) -> None:
        """As a server that is stopped: no connection is left, and new ones are refused."""
        self._close(self.listener, *self.open)
        self.open = []

    def mend(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()


@dataclass
class Visitors:
    """Several at a time, who read and write without a pause."""

    port: int
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def at_work(self, number: int = 4) -> Iterator[None]:
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                self.ask("GET", "/notes/")
                self.ask("POST", "/api/notes")

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
        except OSError as error:
            self.failures.append(repr(error))
        finally:
            connection.close()
        self.slowest = max(self.slowest, time.monotonic() - started)

    def look(self, seconds: float) -> Counter[tuple[str, int]]:
        """The answers of the next seconds."""
        before = self.answers.copy()
        time.sleep(seconds)
        return self.answers - before


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_database_that_is_gone_for_a_while_is_waited_for_by_nobody(kind: str, on: Make) -> None:
    project, uri = on(kind)
    url = make_url(uri)
    assert url.host
    proxy = Proxy(url.host, url.port or {"postgresql": 5432, "mysql": 3306}[kind])
    through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    settings = {"DATABASE_URL": through, "FLASK_DEBUG": "0", "WEB_CONCURRENCY": "1"}
    serving = Project(project.path, {**project.env, **settings})
    with serving.listen("gunicorn") as port:
        assert get(port, "/readyz")[0] == 200
        visitors = Visitors(port)
        with visitors.at_work():
            assert {*visitors.look(2)} == {("GET", 200), ("POST", 201)}

            proxy.cut()
            time.sleep(1)
            assert get(port, "/readyz")[0] == 503
            assert get(port, "/healthz")[0] == 200
            assert {*visitors.look(2)} == {("GET", 503), ("POST", 503)}

            proxy.mend()
            deadline = time.monotonic() + RECOVERY
            while get(port, "/readyz")[0] != 200:
                assert time.monotonic() < deadline
            assert {*visitors.look(2)} >= {("GET", 200), ("POST", 201)}
            assert {*visitors.look(1)} == {("GET", 200), ("POST", 201)}

    assert visitors.failures == []
    assert {status for _, status in visitors.answers} == {200, 201, 503}
    assert visitors.slowest < LONGEST
    with engine_of(uri).connect() as connection:
        notes = connection.scalar(text("SELECT count(*) FROM note WHERE title = 'Milk'"))
        tags = connection.scalar(text("SELECT count(*) FROM note_tag"))
        welcome = connection.scalar(text("SELECT count(*) FROM note WHERE title <> 'Milk'"))
    # One that was cut off while it committed may have been written.
    assert visitors.answers["POST", 201] <= notes
    assert notes <= visitors.answers["POST", 201] + visitors.answers["POST", 503]
    assert 0 <= tags - 2 * notes <= 2 * welcome
