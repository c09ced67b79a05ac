"""Upgrades over 10, 100 and 1,000 revisions, with our migration environment and the stock one.

    uv run python benchmarks/revisions.py

Each revision makes one small table. Measured are `upgrade` from nothing and again at head, in a
process that has imported everything before the clock starts; and `flask db upgrade` at head, its
start included. Both sides have the same application, the same revisions, compiled beforehand, and
a new process for each measurement. They take turns, so that the machine's moods meet both alike.

The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from measuring import (
    STOCK,
    Ratios,
    databases,
    head,
    make_project,
    new_uri,
    ratios,
    row,
    run,
    summary,
)

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

ROUNDS = {10: 7, 100: 7, 1000: 5}  # for each number of revisions, the project's own first included
FOLDERS = {"ours": "migrations", "stock": "stock"}
APPS = {"ours": [], "stock": ["--app", STOCK]}
# On SQLite alone: the stock environment with connections as they come, without our settings.
BARE = "stock connection"
NOTHING, HEAD, COMMAND = "from nothing", "at head", "at head, start included"

REVISION = '''"""table {number}

Revision: {revision}
Revises: {down_revision}
Created: 2026-01-01 00:00:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down_revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "table_{number}",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_table_{number}")),
    )


def downgrade() -> None:
    op.drop_table("table_{number}")
'''

Times = dict[str, list[float]]


def main() -> Ratios:
    """Measure on each database, and print a table."""
    found: Ratios = defaultdict(dict)
    rounds = ", ".join(f"{number} over {revisions:,}" for revisions, number in ROUNDS.items())
    print(f"Seconds: median of the rounds, {rounds} revisions (lowest to highest)\n")
    head("database", "revisions", "upgrade", "ours", "stock", "ratio")
    for database, server in databases():
        measure_all(database, server, found)
    print(
        "\nTargets for the ratio: from nothing, over 1,000 revisions, 0.4 on SQLite and 1.0 on the"
        " servers; at head 1.0."
    )
    return found


def measure_all(name: str, server: Server | None, found: Ratios) -> None:
    """Make a project on the database, measure in it, and print the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, new_uri(server))
        run(project, "flask", *APPS["stock"], "db", "init", "--directory", FOLDERS["stock"])
        for revisions, rounds in ROUNDS.items():
            write_revisions(project, revisions)
            times: dict[str, Times] = defaultdict(lambda: defaultdict(list))
            sides = [*FOLDERS, *([] if server else [BARE])]
            for number in range(rounds):
                for side in sides if number % 2 else reversed(sides):
                    empty(project, server)
                    measure_one(project, side, revisions, times)
            for upgrade, sided in times.items():
                for side in sides[1:]:
                    if side in sided:
                        beside = name if side == sides[-1] else f"{name}, our connection"
                        ratio = ratios(sided["ours"], sided[side])
                        found[f"`flask db upgrade` {upgrade}, {revisions:,} revisions"][beside] = (
                            ratio
                        )
                        cells = (summary(times) for times in (sided["ours"], sided[side], ratio))
                        row(beside, f"{revisions:,}", upgrade, *cells)


def measure_one(project: Path, side: str, revisions: int, times: dict[str, Times]) -> None:
    """Upgrade the empty database, and then again."""
    for upgrade in (NOTHING, HEAD):
        output = run(project, "python", __file__, side, str(revisions))
        times[upgrade][side].append(json.loads(output))
    if side in FOLDERS:
        started = time.perf_counter()
        run(project, "flask", *APPS[side], "db", "upgrade", "--directory", FOLDERS[side])
        times[COMMAND][side].append(time.perf_counter() - started)


def write_revisions(project: Path, revisions: int) -> None:
    """Add revisions to the project's first, in the form of `script.py.mako`, for both sides."""
    ours, stock = (project / folder / "versions" for folder in FOLDERS.values())
    first = next(path for path in ours.glob("*.py") if "_table_" not in path.name)
    down_revision = first.stem.split("_")[2]
    texts = {first.name: first.read_text()}
    for number in range(1, revisions):
        revision = f"{number:012x}"
        texts[f"20260101_000000_{revision}_table_{number}.py"] = REVISION.format(
            number=number, revision=revision, down_revision=down_revision
        )
        down_revision = revision
    for folder in (ours, stock):
        for name, text in texts.items():
            (folder / name).write_text(text)
    run(project, "python", "-m", "compileall", "-q", *FOLDERS.values())


def empty(project: Path, server: Server | None) -> None:
    """Begin with an empty database."""
    if server:
        (database,) = server.made
        server.clean()
        server.run(f"CREATE DATABASE {database}")
    else:
        for file in (project / "instance").iterdir():
            file.unlink()


def measure(side: str, revisions: int) -> None:
    """Upgrade once, in the project's own environment, and print how long it took."""
    import logging.config  # of the stock environment

    import flask_migrate
    import my_app
    import sqlalchemy
    import stock
    from alembic.runtime.migration import MigrationContext
    from my_app import database

    if side == BARE:
        for listener in ("_set_up_sqlite", "_begin_on_sqlite"):
            setattr(database, listener, lambda *arguments: None)
    logging.disable(logging.CRITICAL)
    create_app = my_app.create_app if side == "ours" else stock.create_app
    with create_app().app_context():
        started = time.perf_counter()
        flask_migrate.upgrade(directory=FOLDERS.get(side, FOLDERS["stock"]))
        seconds = time.perf_counter() - started
        with database.db.engine.connect() as connection:
            heads = MigrationContext.configure(connection).get_current_heads()
            tables = sqlalchemy.inspect(connection).get_table_names()
    made = [table for table in tables if table.startswith("table_")]
    if heads != (f"{revisions - 1:012x}",) or len(made) != revisions - 1:
        sys.exit(f"{heads}, {len(made)} tables")
    print(json.dumps(seconds))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
