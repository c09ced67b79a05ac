"""In each state of the database: a project that works, or an error message with the command to run.

The outcome is compared with the table in docs/database.md; with UPDATE_DOCS=1 it is written there.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import TEMPLATE, Project, User, commands_printed_by, free_port
from passwords import PASSWORD, files_with_the_password
from servers import Server, driver_named, engine_of, snapshot

pytestmark = pytest.mark.thorough

PAGE = TEMPLATE / "docs" / "database.md"
START, END = "<!-- states -->", "<!-- end of states -->"
LONGEST = 120  # seconds, for a driver may be built on a busy machine: a hang would be of minutes
DATABASES = ["SQLite", "PostgreSQL", "MySQL/MariaDB"]
OTHERS = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)",
    "CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id))",
    "CREATE INDEX ix_others ON purchase (customer_id)",
    "INSERT INTO customer VALUES (1, 'Ada')",
    "INSERT INTO purchase VALUES (1, 1)",
)
CLASHING = "CREATE TABLE tag (word VARCHAR(20))"
ANOTHER_VERSION = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('0123456789ab')",
)


@dataclass
class Place:
    """A database of one kind that a test may prepare as it likes."""

    kind: str
    server: Server | None
    folder: Path
    until_the_end: ExitStack

    def new(self, *statements: str) -> str:
        """Make a database, run statements in it, and return its URI."""
        if self.server:
            name = self.server.new_database()
            self.server.run(*statements, database=name)
            return self.server.uri(name)
        path = self.folder / "data.db"
        engine = engine_of(f"sqlite:///{path}")
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        return f"sqlite:///{path}"

    def of(self, kind: str) -> Server:
        """The server; the state does not apply to other kinds."""
        if self.server is None or kind not in ("server", self.kind):
            raise DoesNotApply
        return self.server


class DoesNotApply(Exception):
    """Such a database can't be in this state."""


@dataclass
class Case:
    """What is answered, and what is printed."""

    uri: str
    says: str = ""  # a regular expression
    untouched: str = ""  # the URI of a database in which nothing may change
    env: dict[str, str] | None = None
    then: Callable[[], object] = lambda: None  # what lets the printed command succeed


State = Callable[[Place], Case]
STATES: dict[str, State] = {}


def state(name: str) -> Callable[[State], State]:
    def register(function: State) -> State:
        STATES[name] = function
        return function

    return register


@state("empty")
def empty(place: Place) -> Case:
    return Case(place.new())


@state("does not exist, on this machine")
def missing(place: Place) -> Case:
    if place.server is None:
        return Case(f"sqlite:///{place.folder / 'new.db'}")
    return Case(place.server.uri(place.server.name_to_drop()))


@state("does not exist, on another machine")
def missing_elsewhere(place: Place) -> Case:
    server = place.of("server")
    # A host that is this machine, but does not look like it.
    uri = server.uri(server.name_to_drop(), host="2130706433")
    return Case(uri, r"There is no database t_\w+ on 2130706433")


@state("holds tables of others")
def others(place: Place) -> Case:
    uri = place.new(*OTHERS)
    return Case(uri, "unchanged: customer, purchase", untouched=uri)


@state("holds tables of others under our names")
def clash(place: Place) -> Case:
    uri = place.new(*OTHERS, CLASHING)
    return Case(uri, "tables of the models: tag. Nothing was changed", untouched=uri)


@state("was migrated by another project")
def another_project(place: Place) -> Case:
    uri = place.new(*ANOTHER_VERSION)
    return Case(uri, "revision 0123456789ab, which is not in migrations/versions", untouched=uri)


@state("wrong password")
def wrong_password(place: Place) -> Case:
    server = place.of("server")
    user = server.new_user("right")
    database = server.new_database()
    server.grant_all(user, database)
    return Case(
        server.uri(database, user, "wrong"),
        "(password authentication failed|Access denied) for user",
    )


@state("user may not create tables")
def no_right(place: Place) -> Case:
    server = place.of("server")
    user = server.new_user("right")
    database = server.new_database()
    server.grant_reading(user, database)
    return Case(
        server.uri(database, user, "right"),
        "permission denied for schema public|CREATE command denied to user",
        then=lambda: server.grant_all(user, database),
    )


@state("server is down")
def down(place: Place) -> Case:
    uri = place.of("server").uri("nothing", port=free_port())
    return Case(uri, r"nothing on 127\.0\.0\.1:\d+ can't be used: .*refused")


@state("server accepts and never answers")
def silent(place: Place) -> Case:
    listener = place.until_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))
    uri = place.of("server").uri("nothing", port=listener.getsockname()[1])
    return Case(uri, "can't be used: .*(timeout|timed out)")


@state("host name is unknown")
def unknown_host(place: Place) -> Case:
    uri = place.of("server").uri("nothing", host="db.invalid")
    return Case(uri, r"nothing on db\.invalid.* can't be used: .*(not known|resolve)")


@state("driver can't be built here")
def unbuilt_driver(place: Place) -> Case:
    server = place.of("server")
    driver = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+mysqldb"}[server.kind]
    uri = server.uri(server.new_database()).replace(server.kind, driver, 1)
    # No wheels, and no compiler to build it from source. A variable of uv would have no effect.
    settings = place.folder / "uv" / "uv.toml"
    settings.parent.mkdir()
    settings.write_text('no-binary-package = ["psycopg2-binary", "mysqlclient"]\nno-cache = true\n')
    env = {"XDG_CONFIG_HOME": str(place.folder)}
    return Case(uri, r"psycopg2(-binary)?|MySQLdb", env=env)


@state("folder is missing")
def no_folder(place: Place) -> Case:
    folder = only_sqlite(place) / "no" / "such"
    return Case(
        f"sqlite:///{folder}/data.db",
        f"unable to open database file. Create its folder, {folder},",
        then=lambda: folder.mkdir(parents=True),
    )


@state("folder is read-only")
def read_only(place: Place) -> Case:
    only_sqlite(place)
    # Where even root can't make a file.
    return Case("sqlite:////proc/data.db", "/proc/data.db can't be used: unable to open")


@state("file is no database")
def no_database(place: Place) -> Case:
    path = only_sqlite(place) / "letter.db"
    path.write_text("Dear Ada,\n" * 500)
    return Case(f"sqlite:///{path}", "can't be used: file is not a database", then=path.unlink)


@state("in memory")
def in_memory(place: Place) -> Case:
    only_sqlite(place)
    return Case(
        "sqlite:///file::memory:?uri=true",
        "in memory, which starts empty in each process. Name a file",
    )


EARLIER_ATTEMPT = "was migrated by an earlier attempt"
ALL_STATES = [*STATES, EARLIER_ATTEMPT]


def only_sqlite(place: Place) -> Path:
    if place.server:
        raise DoesNotApply
    return place.folder


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name = {"SQLite": "", "PostgreSQL": "postgresql_with_passwords", "MySQL/MariaDB": "mysql"}[kind]
    server: Server | None = request.getfixturevalue(name) if name else None
    with ExitStack() as until_the_end:
        administered = server and server.with_administrator(PASSWORD)
        yield Place(kind, administered, tmp_path, until_the_end)


def revision_text(project: Path) -> str:
    """The initial migration, without its date."""
    (path,) = (project / "migrations" / "versions").glob("*.py")
    return re.sub(r"^Created: .*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("name", STATES)
def test_each_state_of_the_database(
    name: str, kind: str, place: Place, user: User, project: Project, tools: Path
) -> None:
    try:
        case = STATES[name](place)
    except DoesNotApply:
        compare_with_docs(name, kind, "does not apply")
        return
    before = snapshot(driver_named(case.untouched)) if case.untouched else {}
    if case.env:
        user.env |= case.env | {"PATH": f"{Path(user.env['PATH'].split(os.pathsep)[0])}:{tools}"}

    started = time.monotonic()
    done = user.cookiecutter("--no-input", f"database_uri={case.uri}")
    took = time.monotonic() - started

    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert re.search(case.says, done.stdout), done.stdout
    assert took < LONGEST
    made = user.folder / "my_app"
    assert revision_text(made) == revision_text(project.path)
    if before:
        after = snapshot(driver_named(case.untouched))
        assert {table: after[table] for table in before} == before

    commands = commands_printed_by(done.stdout)
    if "✓ flask db check" in done.stdout:
        outcome = "created and migrated" if "✓ create the database" in done.stdout else "migrated"
        assert "Done. Next:" in done.stdout
    else:
        outcome = "explained, with the command to finish"
        assert "Done. Next:" not in done.stdout
        assert len(commands) == 1
    if place.server and str(place.server.admin.username) in case.uri:
        assert files_with_the_password(user.home, user.folder) == [made / ".env"]
    compare_with_docs(name, kind, outcome)

    if name in (
        "does not exist, on another machine",
        "folder is missing",
        "file is no database",
    ) or (name == "user may not create tables"):
        case.then()
        finished = user.run("bash", "-c", commands[0])
        assert "✓ flask db check" in finished.stdout, finished.stdout


@pytest.mark.parametrize("kind", DATABASES)
def test_an_own_earlier_attempt_is_taken_up(kind: str, place: Place, user: User) -> None:
    uri = place.new()
    first = user.project(f"database_uri={uri}")
    first.path.rename(user.folder / "first")

    done = user.cookiecutter("--no-input", f"database_uri={uri}")

    assert "✓ flask db check" in done.stdout, done.stdout
    compare_with_docs(EARLIER_ATTEMPT, kind, "migrated")


@pytest.mark.parametrize("kind", DATABASES)
def test_later_revisions_do_not_touch_the_tables_of_others(
    kind: str, place: Place, user: User
) -> None:
    uri = place.new(*OTHERS)
    before = snapshot(driver_named(uri))
    project = user.project(f"database_uri={uri}")
    models = "src/my_app/notes/models.py"
    body = "    body: Mapped[str] = mapped_column(Text)\n"
    project.replace(models, body, body + "    price: Mapped[int | None]\n")

    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "upgrade")
    project.flask("db", "check")

    text = project.revisions()[-1].read_text()
    assert "price" in text
    assert not re.search("customer|purchase|ix_others", text)
    project.flask("db", "downgrade", "base")
    project.flask("db", "upgrade")
    after = snapshot(driver_named(uri))
    assert {table: after[table] for table in before} == before


def table() -> dict[str, list[str]]:
    """The table in docs/database.md: for each state, what is seen with each database."""
    text = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {state: cells for state, *cells in rows[2:]}


def compare_with_docs(name: str, kind: str, outcome: str) -> None:
    """Hold a cell of the table against what was seen, or write it."""
    if os.environ.get("UPDATE_DOCS") == "1":
        with PAGE.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            write(name, kind, outcome)
    assert table()[name][DATABASES.index(kind)] == outcome


def write(name: str, kind: str, outcome: str) -> None:
    rows = table()
    rows.setdefault(name, ["?"] * len(DATABASES))[DATABASES.index(kind)] = outcome
    header = [["the database…", *DATABASES], ["---"] * (len(DATABASES) + 1)]
    lines = header + [[state, *rows[state]] for state in ALL_STATES if state in rows]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    PAGE.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def test_no_cell_of_the_table_is_open() -> None:
    rows = table()

    assert list(rows) == ALL_STATES
    assert all(len(cells) == len(DATABASES) and "?" not in cells for cells in rows.values())
