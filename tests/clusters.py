"""Servers that are more than one process: a Galera cluster, a pooler, and MySQL in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from conftest import free_port
from own_servers import WHERE
from servers import Server
from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError

GALERA = Path("/usr/lib/galera/libgalera_smm.so")
NODES = 3
# That of the tests may be closed to other users, and is not there in another system.
WITHOUT_TMPDIR = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
# A sid system with the package mysql-server-core, as debootstrap makes it.
MYSQL_CHROOT = "TEST_MYSQL_CHROOT"


@contextmanager
def folder_for(user: str) -> Iterator[Path]:
    """A folder for a server that refuses to run as root."""
    path = Path(tempfile.mkdtemp(prefix="cookiecutter-flask-migrate-"))
    if os.getuid() == 0:
        shutil.chown(path, user)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def running(server: Server, log: Path, *command: str | Path) -> Iterator[None]:
    """Run a server until the end, from when it answers."""
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=WITHOUT_TMPDIR, stdout=output, stderr=output) as process,
    ):
        try:
            deadline = time.monotonic() + 90
            while True:
                try:
                    server.run("SELECT 1")
                    break
                except OperationalError:
                    assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
                    assert process.poll() is None, log.read_text(errors="replace")[-3000:]
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def as_user(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", "--clear-groups"] if os.getuid() == 0 else []


@contextmanager
def galera() -> Iterator[list[Server]]:
    """Three nodes that replicate each other's changes."""
    program = shutil.which("mariadbd", path=os.pathsep.join([*WHERE, *os.get_exec_path()]))
    if not (GALERA.exists() and program):
        pytest.skip(f"needs mariadbd and {GALERA}, of the package galera-4")
    with folder_for("mysql") as folder, ExitStack() as stack:
        first = folder / "0"
        install = (
            f"mariadb-install-db --no-defaults --datadir={first} --skip-test-db --skip-name-resolve"
        )
        subprocess.run(
            [*as_user("mysql"), *install.split(), "--auth-root-authentication-method=normal"],
            env=WITHOUT_TMPDIR,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        ports = [(free_port(), free_port(), free_port()) for _ in range(NODES)]
        members = ",".join(f"127.0.0.1:{port}" for _, port, _ in ports)
        nodes = [
            Server(URL.create("mysql+pymysql", "root", None, "127.0.0.1", port, "mysql"))
            for port, _, _ in ports
        ]

        def command(number: int, *options: str) -> list[str]:
            port, group, transfer = ports[number]
            data = folder / str(number)
            provider = (
                f"gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{transfer}"
            )
            return [
                *as_user("mysql"),
                str(program),
                "--no-defaults",
                f"--datadir={data}",
                f"--port={port}",
                f"--socket={data}/socket",
                f"--pid-file={data}/pid",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--binlog-format=ROW",
                "--innodb-autoinc-lock-mode=2",
                "--innodb-flush-log-at-trx-commit=2",
                "--wsrep-on=ON",
                f"--wsrep-provider={GALERA}",
                f"--wsrep-provider-options={provider};gcache.size=16M",
                f"--wsrep-node-address=127.0.0.1:{group}",
                f"--wsrep-cluster-address=gcomm://{members if number or not options else ''}",
                "--wsrep-sst-method=rsync",
                *options,
            ]

        # The others begin as copies of the first, so nothing has to be transferred to them.
        with running(nodes[0], folder / "log 0", *command(0, "--wsrep-new-cluster")):
            pass
        for number in range(1, NODES):
            shutil.copytree(first, folder / str(number), ignore=shutil.ignore_patterns("socket"))
            if os.getuid() == 0:
                subprocess.run(["chown", "-R", "mysql", folder / str(number)], check=True)
        for number, node in enumerate(nodes):
            options = [] if number else ["--wsrep-new-cluster"]
            stack.enter_context(running(node, folder / f"log {number}", *command(number, *options)))
        deadline = time.monotonic() + 60
        for node in nodes:
            while True:
                with suppress(OperationalError), node.connect() as connection:
                    status: dict[str, str] = dict(
                        connection.exec_driver_sql("SHOW STATUS LIKE 'wsrep_%%'").all()
                    )
                    if (status["wsrep_cluster_size"], status["wsrep_ready"]) == (str(NODES), "ON"):
                        break
                assert time.monotonic() < deadline, "the nodes don't find each other"
                time.sleep(0.2)
        yield nodes


@contextmanager
def pooler(server: Server, mode: str) -> Iterator[Server]:
    """PgBouncer in front of a PostgreSQL server that trusts us."""
    program = shutil.which("pgbouncer", path=os.pathsep.join([*WHERE, *os.get_exec_path()]))
    if not program:
        pytest.skip("needs pgbouncer")
    url = server.admin
    with folder_for("postgres") as folder:
        port = free_port()
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={url.host} port={url.port or 5432} user={url.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
            f"pool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n"
            "unix_socket_dir =\n"
        )
        settings.chmod(0o644)
        front = Server(url.set(host="127.0.0.1", port=port))
        with running(front, folder / "log", *as_user("postgres"), program, settings):
            yield front


@contextmanager
def mysql() -> Iterator[Server]:
    """MySQL, of a release that the machine itself doesn't have."""
    root = os.environ.get(MYSQL_CHROOT)
    if not root or os.getuid():
        pytest.skip(
            f"needs {MYSQL_CHROOT}, the folder of a system with MySQL, and root. To make it, run:"
            " debootstrap --variant=minbase --include=mysql-server-core sid FOLDER"
        )
    with tempfile.TemporaryDirectory(dir=Path(root, "tmp")) as folder:
        data = f"/tmp/{Path(folder).name}/data"  # noqa: S108  # in the other system
        inside = [
            "chroot",
            root,
            "/usr/sbin/mysqld",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
        ]
        inside.append("--secure-file-priv=NULL")
        subprocess.run(
            [*inside, "--initialize-insecure"],
            env=WITHOUT_TMPDIR,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        port = free_port()
        server = Server(make_url(f"mysql+pymysql://root@127.0.0.1:{port}/mysql"))
        options = f"--port={port} --bind-address=127.0.0.1 --socket={data}/socket --mysqlx=OFF"
        with running(server, Path(folder, "log"), *inside, *options.split()):
            yield server
