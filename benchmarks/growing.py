"""Many tables and many rows: the time that grows with them, and the time that doesn't.

    uv run python benchmarks/growing.py [tables | notes]

`flask db migrate` and `check` with 10, 100 and 500 tables, in a process that has imported
everything before the clock starts: beside the stock environment, with the same models on the same
database, in turns. And the list of notes with 10, 10,000 and 1,000,000 rows, each with a tag that
every other note has and one of a thousand others: pages and API, the newest and the oldest notes,
a search, by tag.
The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import (
    STOCK,
    Ratios,
    databases,
    head,
    in_turns,
    make_project,
    new_uri,
    ratios,
    row,
    run,
    summary,
)

if TYPE_CHECKING:
    from servers import Server

TABLES = (10, 100, 500)
ROUNDS = 5
NOTES = (10, 10_000, 1_000_000)
ASKED = 15  # times
OTHER_TAGS = 1000
# What is asked, whether of the page and the API alike, and whether an index can serve it.
LISTS = {
    "newest": ("", True),
    "oldest": ("before=15", True),
    "by tag, of every other note": ("tag=common", True),
    "by tag, of the oldest three": ("tag=old", True),
    "by tag, of none": ("tag=unknown", True),
    "search, found in the newest": ("q=milk", True),
    "search, found in none": ("q=unknown", False),
}
FOLDERS = {"ours": "migrations", "stock": "stock"}
MODEL = """
class Table{number}(db.Model):
    __tablename__ = "table_{number}"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("note.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
"""


def main(*asked: str) -> Ratios:
    """Measure what is asked for, by default all, on each database, and print the tables."""
    found: Ratios = defaultdict(dict)
    if not asked or "tables" in asked:
        print(f"Seconds: median of {ROUNDS} rounds (lowest to highest)\n")
        head("database", "tables", "`flask db`", "ours", "stock", "ratio")
        for database, server in databases():
            measure_tables(database, server, found)
    if not asked or "notes" in asked:
        print(f"\nMilliseconds of an answer, median of {ASKED}, and its queries\n")
        head("database", "notes", "", *(f"{number:,}" for number in NOTES))
        for database, server in databases():
            measure_notes(database, server, found)
    return found


def measure_tables(database: str, server: Server | None, found: Ratios) -> None:
    for tables in TABLES:
        with tempfile.TemporaryDirectory() as folder:
            project = make_project(folder, new_uri(server))
            write_models(project, tables)
            run(project, "flask", "db", "migrate", "-m", "tables")
            run(project, "flask", "db", "upgrade")
            run(project, "flask", "--app", STOCK, "db", "init", "--directory", "stock")
            for revision in (project / "migrations" / "versions").glob("*.py"):
                shutil.copy(revision, project / "stock" / "versions")
            add_columns = project / "src" / "my_app" / "notes" / "models.py"
            models = add_columns.read_text()
            measured: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for side, directory in in_turns(ROUNDS, FOLDERS):
                add_columns.write_text(models)
                measured["check"][side].append(clock(project, "check", directory))
                # Each table has one column more.
                add_columns.write_text(
                    models.replace("  # more", "\n    price: Mapped[int | None]")
                )
                measured["migrate"][side].append(clock(project, "migrate", directory))
            for command, sided in measured.items():
                ratio = ratios(sided["ours"], sided["stock"])
                found[f"`flask db {command}`, {tables} tables"][database] = ratio
                cells = (summary(times) for times in (sided["ours"], sided["stock"], ratio))
                row(database, str(tables), command, *cells)


def write_models(project: Path, tables: int) -> None:
    """Add models, so that there are as many tables as this, the example's three among them."""
    texts = [MODEL.format(number=number).rstrip() + "  # more\n" for number in range(tables - 3)]
    with (project / "src" / "my_app" / "notes" / "models.py").open("a") as file:
        file.writelines(texts)


def clock(project: Path, command: str, directory: str) -> float:
    """Seconds that a command takes in a process of its own."""
    return float(run(project, "python", __file__, "clock", command, directory).split()[-1])


def measure_notes(database: str, server: Server | None, found: Ratios) -> None:
    measured: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, new_uri(server))
        for number in NOTES:
            for name, times in json.loads(
                run(project, "python", __file__, "ask", str(number))
            ).items():
                measured[name].append(times)
    for name, sizes in measured.items():
        cells = (
            f"{summary(size['milliseconds'])}, {'/'.join(map(str, size['queries']))} queries"
            for size in sizes
        )
        row(database, name, *cells)
        if LISTS[name.partition(": ")[2]][1]:
            _, small, large = (
                size["milliseconds"] for size in sizes
            )  # of the first, few are found
            found[f"notes, {name}"][database] = ratios(large, small)


def run_command(command: str, directory: str) -> None:
    """Run a command once, in the project's own environment, and print how long it took."""
    import logging.config  # of the stock environment

    import flask_migrate
    import my_app
    import stock

    logging.disable(logging.CRITICAL)
    create_app = my_app.create_app if directory == FOLDERS["ours"] else stock.create_app
    before = {*Path(directory, "versions").iterdir()}
    with create_app().app_context():
        started = time.perf_counter()
        if command == "check":
            flask_migrate.check(directory=directory)
        else:
            flask_migrate.migrate(directory=directory, message="more")
        seconds = time.perf_counter() - started
    made = {*Path(directory, "versions").iterdir()} - before
    made = {path for path in made if path.suffix == ".py"}
    if len(made) != (command == "migrate"):
        sys.exit(f"{made} was made")
    for path in made:
        path.unlink()
    print(seconds)


def ask(number: int) -> None:
    """Bring the project's notes to this number, and print how long answers take."""
    from my_app import create_app
    from my_app.config import load_config
    from my_app.database import db
    from my_app.logs import TRANSACTION
    from sqlalchemy import event

    config = load_config()
    config.QUERY_TIMEOUT = 0
    with create_app(config).app_context():
        fill(number)
    app = create_app()
    app.logger.parent.setLevel("ERROR")  # type: ignore[union-attr]
    made: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        if not statement.startswith(TRANSACTION):
            made.append(statement)

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    client = app.test_client()
    measured: dict[str, dict[str, Any]] = {}
    for kind, path in (("page", "/notes/"), ("API", "/api/notes")):
        for name, (query, _) in LISTS.items():
            times, queries = [], set()
            for round_ in range(ASKED + 1):
                made.clear()
                started = time.perf_counter()
                response = client.get(f"{path}?{query}")
                if round_:
                    times.append((time.perf_counter() - started) * 1000)
                    queries.add(len(made))
                if response.status_code != 200:
                    sys.exit(response.text)
            measured[f"{kind}: {name}"] = {"milliseconds": times, "queries": sorted(queries)}
    print(json.dumps(measured))


def fill(number: int) -> None:
    """Write notes by SQL, half of them with one tag, the oldest with another, all with others."""
    from my_app.database import db
    from my_app.notes.models import Note, Tag, note_tag
    from sqlalchemy import and_, func, insert, select

    if not (have := db.session.scalar(select(func.count()).select_from(Note))):
        tags = [Tag(id=1, name="common"), Tag(id=2, name="old")]
        db.session.add_all(Tag(id=3 + number, name=str(number)) for number in range(OTHER_TAGS))
        for index in range(10):
            note = Note(title=f"Note {index}", body="Two litres of milk")
            note.tags = [tag for tag in tags if (index < 3) == (tag.name == "old")]
            db.session.add(note)
        db.session.commit()
        have = 10
    while have < number:
        more = min(have, number - have)
        old = select(Note.title, Note.body).limit(more)
        db.session.execute(insert(Note).from_select(["title", "body"], old))
        have += more
    for tagged in (Tag.id == 3 + Note.id % OTHER_TAGS, and_(Tag.id == 1, Note.id % 2 == 0)):
        ids = select(Note.id, Tag.id).join(Tag, tagged).where(Note.id > 10)
        there = select(note_tag).where(note_tag.c.note_id == Note.id, note_tag.c.tag_id == Tag.id)
        new = ids.where(~there.exists())
        db.session.execute(note_tag.insert().from_select(["note_id", "tag_id"], new))
    db.session.commit()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        tables = "note, note_tag, tag"
        analyze = {"postgresql": f"VACUUM ANALYZE {tables}", "sqlite": "ANALYZE"}
        kind = connection.dialect.name
        connection.exec_driver_sql(analyze.get(kind, f"ANALYZE TABLE {tables}"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["clock"]:
        run_command(*sys.argv[2:])
    elif sys.argv[1:2] == ["ask"]:
        ask(int(sys.argv[2]))
    else:
        main(*sys.argv[1:])
