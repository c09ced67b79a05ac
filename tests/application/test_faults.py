"""What breaks under an application that serves: it answers cleanly meanwhile, and goes on afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from clients import GOOD, Checks, Clients, wait_until
from conftest import Project, User, copied, free_port, get
from own_servers import CONNECTIONS, WHERE, OwnServer, own_server
from reliability import report
from servers import driver_named, engine_of
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.thorough

SECTION = "The application under fault"
THREADS = 4
LIMIT = 2  # seconds that a query may take
LONGEST = 30  # seconds that anyone waits: for a thread, and then for what the fault takes
RECOVERY = 10  # seconds after the fault is over
MANY = 20  # clients, more than a process has threads
FEW = THREADS - 2  # clients that leave a thread to each check
UNAVAILABLE = {("GET", 503), ("POST", 503)}
KILLS = 5
TORN = (
    "SELECT count(*) FROM note WHERE title = 'Milk' AND 2 <>"
    " (SELECT count(*) FROM note_tag WHERE note_id = note.id)"
)


@dataclass
class Served:
    """A project that gunicorn serves, those who use it, and what they have seen."""

    uri: str
    port: int
    gunicorn: subprocess.Popen[bytes]
    clients: Clients
    checks: Checks

    @contextmanager
    def in_use(
        self, clients: int = THREADS + 2, at_first: set[tuple[str, int]] = GOOD
    ) -> Iterator[None]:
        """All goes well again in the end, and at first, once a busy machine has begun."""
        with self.checks.at_work(), self.clients.at_work(clients):
            wait_until(lambda: {*self.clients.go_on()} == at_first, RECOVERY)
            yield
            wait_until(lambda: {*self.clients.go_on()} == GOOD, RECOVERY)

    def figures(self) -> str:
        """What was seen of them all, once nothing of it is to be complained of."""
        with engine_of(self.uri).connect() as connection:
            notes = connection.scalar(text("SELECT count(*) FROM note WHERE title = 'Milk'"))
            torn = connection.scalar(text(TORN))
        answers = self.clients.answers
        refused = sum(number for (_, status), number in answers.items() if status == 503)
        acknowledged = answers["POST", 201]
        # One that was cut off while it committed may have been written.
        assert acknowledged <= notes <= acknowledged + answers["POST", 503] + self.unanswered
        assert torn == 0
        assert {*answers} <= GOOD | UNAVAILABLE
        assert self.clients.slowest < LONGEST
        assert self.checks.statuses("/healthz") == {200}
        assert max(map(self.checks.slowest, ("/healthz", "/readyz"))) < LONGEST
        return (
            f"{answers.total()} requests, {refused} of them answered 503, {self.unanswered} not at all,"
            f" the slowest after {self.clients.slowest:.1f} s; /healthz 200 within"
            f" {self.checks.slowest('/healthz'):.1f} s; no note lost, none without its tags"
        )

    @property
    def unanswered(self) -> int:
        return len(self.clients.failures)


@contextmanager
def serve(project: Project, uri: str, **settings: str) -> Iterator[Served]:
    port = free_port()
    settings = {"WEB_CONCURRENCY": "1", "QUERY_TIMEOUT": str(LIMIT), **settings}
    settings |= {"DATABASE_URL": uri, "FLASK_DEBUG": "0", "WEB_THREADS": str(THREADS)}
    gunicorn = subprocess.Popen(
        [project.path / ".venv" / "bin" / "gunicorn"],
        cwd=project.path,
        env={**project.env, **settings, "PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        get(port, "/healthz")
        yield Served(uri, port, gunicorn, Clients(port), Checks(port))
    finally:
        gunicorn.terminate()
        gunicorn.wait(40)


@dataclass
class OnOwnServer:
    server: OwnServer
    project: Project
    database: str

    @property
    def uri(self) -> str:
        return driver_named(self.server.uri(self.database))


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def module_own(
    request: pytest.FixtureRequest,
    new_user: Callable[[], User],
    original: Callable[[str], Project],
) -> Iterator[OnOwnServer]:
    with own_server(request.param) as server:
        database = server.new_database()
        project = copied(original(request.param), new_user(), server.uri(database))
        yield OnOwnServer(server, project, database)


@pytest.fixture
def own(module_own: OnOwnServer) -> OnOwnServer:
    """A project on a server of its own, without notes."""
    module_own.server.run("DELETE FROM note", database=module_own.database)
    return module_own


def test_a_database_that_is_killed_and_started_again_is_waited_for_by_nobody(
    own: OnOwnServer,
) -> None:
    with serve(own.project, own.uri) as served, served.in_use():
        own.server.kill()
        gone = served.checks.wait_for(503, RECOVERY)
        served.clients.go_on()
        assert {*served.clients.go_on()} == UNAVAILABLE
        own.server.start()
        back = served.checks.wait_for(200, RECOVERY)

    assert served.unanswered == 0
    report(
        SECTION,
        "the database is killed and started again under load",
        f"{served.figures()}; /readyz 503 after {gone:.1f} s, 200 again after {back:.1f} s",
        on=own.server.kind,
    )


def test_while_a_database_hangs_the_checks_are_answered(own: OnOwnServer) -> None:
    with serve(own.project, own.uri) as served, served.in_use(FEW):
        with own.server.frozen():
            gone = served.checks.wait_for(503, RECOVERY)
            if own.server.kind == "mysql":
                served.clients.go_on(FEW)  # what was under way
                assert {*served.clients.go_on(FEW)} <= UNAVAILABLE
            else:  # requests wait: the kernel keeps the connections of a stopped process alive
                time.sleep(2 * LIMIT)
        back = served.checks.wait_for(200, RECOVERY)

    assert served.unanswered == 0
    report(
        SECTION,
        "the database hangs under load (SIGSTOP; QUERY_TIMEOUT=2)",
        f"{served.figures()}; /readyz 503 after {gone:.1f} s, 200 again after {back:.1f} s",
        on=own.server.kind,
    )


def test_a_query_behind_a_lock_is_given_up_by_the_application_and_by_the_server(
    own: OnOwnServer,
) -> None:
    postgresql = own.server.kind == "postgresql"
    lock = "LOCK TABLE note IN EXCLUSIVE MODE" if postgresql else "LOCK TABLES note READ"
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        if postgresql
        else "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%%'"
    )
    with serve(own.project, own.uri) as served, served.in_use(MANY):
        other = engine_of(own.uri).connect()
        other.exec_driver_sql(lock)
        time.sleep(3 * LIMIT)
        with own.server.connect() as administrator:
            left = administrator.exec_driver_sql(waiting).scalar_one()
        other.close()

    assert left <= THREADS
    assert served.clients.answers["POST", 503] > 0
    assert served.checks.statuses("/readyz") == {200}
    assert served.unanswered == 0
    report(
        SECTION,
        "writes wait for a lock (QUERY_TIMEOUT=2)",
        f"{served.figures()}; {left} queries of {THREADS} threads wait on the server",
        on=own.server.kind,
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def pgbouncer(server: OwnServer) -> Iterator[int]:
    """PgBouncer, which gives each transaction any of a few connections to the server: its port."""
    if shutil.which("pgbouncer", path=os.pathsep.join([*WHERE, *os.get_exec_path()])) is None:
        pytest.skip("needs pgbouncer")
    port = free_port()
    (server.folder / "users").write_text('"postgres" ""\n')
    (server.folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.admin.port}\n[pgbouncer]\n"
        f"auth_type=trust\nauth_file={server.folder}/users\nlisten_addr=127.0.0.1\n"
        f"listen_port={port}\nunix_socket_dir=\npool_mode=transaction\n"
        f"default_pool_size={THREADS + 2}\n"
    )
    process = server.run_program(f"pgbouncer {server.folder}/pgbouncer.ini")
    try:
        wait_until(lambda: listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("module_own", ["postgresql"], indirect=True)
def test_a_pooler_gets_in_the_way_of_nothing(own: OnOwnServer) -> None:
    with pgbouncer(own.server) as port:
        pooled = driver_named(own.server.uri(own.database, port=port))
        with (
            serve(own.project, pooled, MIGRATION_DATABASE_URL=own.uri) as served,
            served.in_use(),
        ):
            other = engine_of(own.uri).connect()
            other.exec_driver_sql("LOCK TABLE note IN EXCLUSIVE MODE")
            wait_until(lambda: served.clients.answers["POST", 503] > THREADS)
            other.close()

        assert served.unanswered == 0
        report(
            SECTION,
            "writes wait for a lock, behind PgBouncer in transaction mode (QUERY_TIMEOUT=2)",
            served.figures(),
            on=own.server.kind,
        )


def test_a_server_whose_connections_are_all_in_use_is_asked_again(own: OnOwnServer) -> None:
    engine = engine_of(own.uri)
    with serve(own.project, own.uri) as served, ExitStack() as others:
        for _ in range(CONNECTIONS):
            others.enter_context(engine.connect())
        with pytest.raises(OperationalError):
            engine.connect()
        with served.in_use(at_first=UNAVAILABLE):
            assert get(served.port, "/readyz")[0] == 503
            others.close()
            back = served.checks.wait_for(200, RECOVERY)

    assert served.unanswered == 0
    report(
        SECTION,
        "others use all connections of the database",
        f"{served.figures()}; /readyz 503, 200 again after {back:.1f} s",
        on=own.server.kind,
    )


def kill_workers(served: Served) -> None:
    """Each as soon as the next one serves. With it end the requests that it has, and no others."""
    for number in range(1, KILLS + 1):
        parent = ["pgrep", "--parent", str(served.gunicorn.pid)]
        before = subprocess.check_output(parent, text=True).split()
        os.kill(int(before[0]), signal.SIGKILL)
        wait_until(
            lambda: len({*subprocess.check_output(parent, text=True).split()} - {*before}) == 1  # noqa: B023
        )
        served.clients.go_on()
        assert served.unanswered <= number * (THREADS + 2)


def report_kills(served: Served, kind: str) -> None:
    fault = "a process that serves is killed (SIGKILL), one of two"
    served.checks.answers = [answer for answer in served.checks.answers if answer[2]]
    report(SECTION, fault, served.figures(), tries=KILLS, on=kind)


def test_of_a_worker_that_is_killed_only_its_own_requests_are_lost(own: OnOwnServer) -> None:
    with serve(own.project, own.uri, WEB_CONCURRENCY="2") as served, served.in_use():
        kill_workers(served)

    report_kills(served, own.server.kind)


@pytest.fixture(scope="module")
def small_disk(
    new_user: Callable[[], User], project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Path]]:
    """A project on SQLite, and a folder with little room, where its database is."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    yield copied(project, new_user(), f"sqlite:///{folder}/data.db"), folder
    subprocess.run(["umount", folder], check=True)


@contextmanager
def serve_small_disk(project: Project, folder: Path) -> Iterator[Served]:
    uri = f"sqlite:///{folder}/data.db"
    engine = engine_of(uri)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.exec_driver_sql("DELETE FROM note")
    with serve(project, uri, WEB_CONCURRENCY="2") as served, served.in_use():
        yield served
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None


def test_of_a_worker_that_is_killed_sqlite_keeps_no_half_of_a_note(
    small_disk: tuple[Project, Path],
) -> None:
    with serve_small_disk(*small_disk) as served:
        kill_workers(served)

    report_kills(served, "sqlite")


def test_a_full_disk_refuses_what_writes_and_nothing_else(
    small_disk: tuple[Project, Path],
) -> None:
    rest = small_disk[1] / "rest"
    with serve_small_disk(*small_disk) as served:
        with suppress(OSError), rest.open("wb", buffering=0) as file:
            while True:
                file.write(b"0" * 4096)
        wait_until(lambda: {*served.clients.go_on()} == {("GET", 200), ("POST", 503)})
        assert get(served.port, "/readyz")[0] == 200
        rest.unlink()
        freed = time.monotonic()
        wait_until(lambda: {*served.clients.go_on()} == GOOD, RECOVERY)
        again = time.monotonic() - freed

    assert served.clients.answers["GET", 503] == 0
    assert served.unanswered == 0
    report(
        SECTION,
        "the disk is full, and then there is room",
        f"{served.figures()}; all reads answered 200; writes go on {again:.1f} s after there is room;"
        " integrity_check ok",
        on="sqlite",
    )
