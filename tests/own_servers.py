"""Database servers of a test's own, to be killed, started again and frozen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import free_port
from servers import Server
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

CONNECTIONS = 12  # that it accepts
WHERE = ["/usr/sbin", "/usr/local/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
# What makes the folder of the data, and what serves it; both as a user who is not root.
PROGRAMS = {
    "postgresql": (
        "initdb --pgdata={data} --auth=trust --username=postgres --no-sync",
        "postgres -D {data} -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        f" -c fsync=off -c max_connections={CONNECTIONS} -c superuser_reserved_connections=0",
    ),
    "mysql": (
        "mariadb-install-db --no-defaults --datadir={data} --auth-root-authentication-method=normal"
        " --skip-test-db --skip-name-resolve",
        "mariadbd --no-defaults --datadir={data} --port={port} --bind-address=127.0.0.1"
        " --socket={data}/socket --pid-file={data}/pid --skip-name-resolve"
        # One more is kept for an administrator, which we are.
        f" --innodb-flush-log-at-trx-commit=2 --max-connections={CONNECTIONS - 1}",
    ),
}


@dataclass
class OwnServer(Server):
    folder: Path = field(default_factory=Path)
    process: subprocess.Popen[bytes] | None = None

    def run_program(self, command: str) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        name, *arguments = command.format(data=data, port=self.admin.port).split()
        program = shutil.which(name, path=os.pathsep.join([*WHERE, *os.get_exec_path()]))
        if program is None:
            pytest.skip(f"needs {name}, for a server of its own")
        as_user: list[str] = []
        if os.getuid() == 0:  # which these servers refuse to run as
            user = "postgres" if self.kind == "postgresql" else "mysql"
            shutil.chown(self.folder, user)
            as_user = ["setpriv", f"--reuid={user}", "--clear-groups"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*as_user, program, *arguments],
                cwd="/",
                env={**os.environ, "TMPDIR": str(self.folder)},  # ours may be closed to that user
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        self.process = self.run_program(PROGRAMS[self.kind][1])
        deadline = time.monotonic() + 60
        while True:
            try:
                self.run("SELECT 1")
                return
            except OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)

    def send(self, signal_number: int) -> None:
        """Send a signal to the server and its children, if it has some."""
        assert self.process
        pid = str(self.process.pid)
        children = subprocess.run(["pgrep", "--parent", pid], stdout=subprocess.PIPE, text=True)
        for process in (pid, *children.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(int(process), signal_number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither answers nor closes a connection; the kernel goes on accepting them."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)


@contextmanager
def own_server(kind: str) -> Iterator[OwnServer]:
    # pytest's own folders are for this user alone.
    folder = Path(tempfile.mkdtemp(prefix="cookiecutter-flask-migrate-"))
    names = {"postgresql": ("postgresql+psycopg", "postgres"), "mysql": ("mysql+pymysql", "root")}
    driver, admin = names[kind]
    database = "postgres" if kind == "postgresql" else "mysql"
    url = URL.create(driver, admin, None, "127.0.0.1", free_port(), database)
    server = OwnServer(url, folder=folder)
    try:
        assert server.run_program(PROGRAMS[kind][0]).wait() == 0, (folder / "log").read_text()
        server.start()
        yield server
    finally:
        if server.process:
            server.kill()
        shutil.rmtree(folder)
