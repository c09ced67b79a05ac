"""What breaks under an application that serves: it answers cleanly meanwhile, and goes on afterwards."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from clients import GOOD, Clients, wait_until
from conftest import Project, get
from sqlalchemy import make_url, text
from test_migrating import engine_of

Make = Callable[[str], tuple[Project, str]]
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


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_database_that_is_gone_for_a_while_is_waited_for_by_nobody(
    request: pytest.FixtureRequest, kind: str, on: Make
) -> None:
    project, uri = on(kind)
    url = make_url(uri)
    assert url.host
    proxy = Proxy(url.host, url.port or {"postgresql": 5432, "mysql": 3306}[kind])
    request.addfinalizer(proxy.cut)
    through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    settings = {"DATABASE_URL": through, "FLASK_DEBUG": "0", "WEB_CONCURRENCY": "1"}
    serving = Project(project.path, {**project.env, **settings})
    with serving.listen("gunicorn") as port:
        assert get(port, "/readyz")[0] == 200
        clients = Clients(port)
        with clients.at_work(4):
            assert {*clients.go_on()} == GOOD

            proxy.cut()
            time.sleep(1)
            assert get(port, "/readyz")[0] == 503
            assert get(port, "/healthz")[0] == 200
            assert {*clients.go_on()} == {("GET", 503), ("POST", 503)}

            proxy.mend()
            wait_until(lambda: get(port, "/readyz")[0] == 200, RECOVERY)
            clients.go_on()
            assert {*clients.go_on()} == GOOD

    assert clients.failures == []
    assert {*clients.answers} == GOOD | {("GET", 503), ("POST", 503)}
    assert clients.slowest < LONGEST
    with engine_of(uri).connect() as connection:
        notes = connection.scalar(text("SELECT count(*) FROM note WHERE title = 'Milk'"))
        tags = connection.scalar(text("SELECT count(*) FROM note_tag"))
        welcome = connection.scalar(text("SELECT count(*) FROM note WHERE title <> 'Milk'"))
    # One that was cut off while it committed may have been written.
    assert clients.answers["POST", 201] <= notes
    assert notes <= clients.answers["POST", 201] + clients.answers["POST", 503]
    assert 0 <= tags - 2 * notes <= 2 * welcome
