"""Real database servers for the tests, and databases, users and tables on them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

KINDS = ["sqlite", "postgresql", "mysql"]
DEFAULTS = {
    "TEST_POSTGRESQL_URL": "postgresql://postgres@127.0.0.1:5432/postgres",
    "TEST_MYSQL_URL": "mysql://root@127.0.0.1:3306/mysql",
}
NAMED_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


@dataclass
class Server:
    """A server whose administrator we are."""

    admin: URL
    made: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.admin.get_backend_name()

    def engine(self, database: str | None = None) -> Engine:
        url = self.admin if database is None else self.admin.set(database=database)
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @contextmanager
    def connect(self, database: str | None = None) -> Iterator[Connection]:
        with self.engine(database).connect() as connection:
            yield connection

    def run(self, *statements: str, database: str | None = None) -> None:
        with self.connect(database) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def new_name(self) -> str:
        """A name that nothing on the server has."""
        return f"t_{secrets.token_hex(6)}"

    def name_to_drop(self) -> str:
        """Return a name for a database that is dropped in the end, even if another process makes it."""
        name = self.new_name()
        self.made.append(name)
        return name

    def new_database(self) -> str:
        name = self.name_to_drop()
        self.run(f"CREATE DATABASE {name}")
        return name

    def new_user(self, password: str) -> str:
        """A user who may log in, and nothing else."""
        name = self.new_name()
        password = password.replace("%", "%%")
        if self.kind == "postgresql":
            self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        else:
            self.run(f"CREATE USER {name}@'%%' IDENTIFIED BY '{password}'")
        return name

    def with_administrator(self, password: str) -> Server:
        """The same server, of which a new user with a password is the administrator."""
        name = self.new_user(password)
        if self.kind == "postgresql":
            self.run(f"ALTER ROLE {name} SUPERUSER")
        else:
            self.run(f"GRANT ALL ON *.* TO {name}@'%%' WITH GRANT OPTION")
        return Server(self.admin.set(username=name, password=password), self.made)

    def grant_all(self, user: str, database: str) -> None:
        if self.kind == "postgresql":
            self.run(f"ALTER DATABASE {database} OWNER TO {user}")
        else:
            self.run(f"GRANT ALL ON {database}.* TO {user}@'%%'")

    def grant_reading(self, user: str, database: str) -> None:
        if self.kind == "postgresql":
            self.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=database)
        else:
            self.run(f"GRANT SELECT ON {database}.* TO {user}@'%%'")

    def uri(
        self,
        database: str,
        user: str | None = None,
        password: str | None = None,
        **parts: str | int,
    ) -> str:
        """An answer to `database_uri`."""
        url = self.admin.set(drivername=self.kind, database=database)
        if user:
            url = url.set(username=user, password=password)
        return url.set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]

    def clean(self) -> None:
        force = " WITH (FORCE)" if self.kind == "postgresql" else ""
        for name in self.made:
            self.run(f"DROP DATABASE IF EXISTS {name}{force}")


def skip(message: str) -> NoReturn:
    """Skip a test that needs what this machine does not have; in CI, which has to have it, fail."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def find(variable: str) -> Iterator[Server]:
    """The server that the variable names; without it the test is skipped, and in CI it fails."""
    url = make_url(os.environ.get(variable) or DEFAULTS[variable])
    server = Server(url.set(drivername=NAMED_DRIVERS[url.get_backend_name()]))
    try:
        server.run("SELECT 1")
    except OperationalError as error:
        message = (
            f"no server answers at {variable}={url!r} (docker compose up starts them): {error.orig}"
        )
        skip(message)
    yield server
    server.clean()


def checks_passwords(server: Server) -> bool:
    """Whether the server refuses a wrong password; one with `trust` accepts any."""
    user = server.new_user("right")
    try:
        url = server.admin.set(username=user, password="wrong")  # noqa: S106
        engine_of(url).connect().close()
    except OperationalError:
        return True
    return False


@contextmanager
def postgresql_with_passwords() -> Iterator[Server]:
    """A PostgreSQL server of our own, which checks passwords."""
    programs = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    bin_folder = next((path for path in programs if (path / "initdb").exists()), None)
    if bin_folder is None:
        skip("needs initdb of PostgreSQL, or a server that checks passwords")
    as_user: list[str] = []
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    # pytest's own folders are for this user alone.
    folder = Path(tempfile.mkdtemp(prefix="cookiecutter-flask-migrate-"))
    data, password = folder / "data", folder / "password"
    password.write_text("admin")
    if as_user:
        shutil.chown(folder, "postgres")
        shutil.chown(password, "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(*command: str | Path) -> None:
        subprocess.run([*as_user, *command], cwd="/", check=True, stdout=subprocess.DEVNULL)

    run(
        bin_folder / "initdb",
        f"--pgdata={data}",
        "--auth=scram-sha-256",
        "--username=postgres",
        f"--pwfile={password}",
        "--no-sync",
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run(bin_folder / "pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", data / "log")
    try:
        yield Server(make_url(f"postgresql+psycopg://postgres:admin@127.0.0.1:{port}/postgres"))
    finally:
        run(bin_folder / "pg_ctl", "stop", "-m", "immediate", "-D", data)
        shutil.rmtree(folder)


def engine_of(uri: str | URL) -> Engine:
    """An engine that keeps no connection."""
    return create_engine(uri, poolclass=NullPool)


def driver_named(uri: str) -> str:
    """The address as SQLAlchemy needs it here."""
    return uri.replace("postgresql:", "postgresql+psycopg:").replace("mysql:", "mysql+pymysql:")


def snapshot(url: str | URL) -> dict[str, object]:
    """All tables of a database, with their columns, indexes, constraints and rows."""
    with engine_of(url).connect() as connection:
        inspector = inspect(connection)
        return {
            table: (
                [(column["name"], str(column["type"])) for column in inspector.get_columns(table)],
                inspector.get_indexes(table),
                inspector.get_foreign_keys(table),
                sorted(connection.exec_driver_sql(f"SELECT * FROM {table}").all(), key=str),
            )
            for table in sorted(inspector.get_table_names())
        }


def execute(uri: str, *statements: str) -> None:
    with engine_of(uri).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(uri: str, query: str) -> list[tuple[object, ...]]:
    with engine_of(uri).connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
