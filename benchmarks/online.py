"""How long clients wait while a large table is changed: our form beside that of the stock environment.

    uv run python benchmarks/online.py [ROWS]

Four writers and four readers, each a process, use a table of 1,000,000 rows. Measured is the longest
time that one of them waits for a statement: without a change, during ours, and during the plain
operation in a transaction. Ours is what `flask db migrate` and `flask db upgrade` make of the models.
What they refuse is done as the refusal says: a new column, filled by `flask db backfill`.
With UPDATE_DOCS=1 in the environment, the table in docs/safety-checks.md is written.
The servers are those of the tests, TEST_POSTGRESQL_URL and TEST_MYSQL_URL.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from measuring import TEMPLATE, databases, head, row, version_of

if TYPE_CHECKING:
    from servers import Server

ROWS = 1_000_000
CLIENTS = 8  # half of them write
PAUSE = 0.01  # seconds between two statements of a client
SECONDS = 5  # for what they wait without a change
START, END = "<!-- online -->\n", "<!-- end of online -->\n"
PAGE = TEMPLATE / "docs" / "safety-checks.md"
FILL = {
    "postgresql": (
        "INSERT INTO owner (id) SELECT n FROM generate_series(1, 1000) n",
        "INSERT INTO item SELECT n, 'item', n, n %% 1000, n %% 100, n %% 1000 + 1, 'new'"
        " FROM generate_series(1, {rows}) n",
        "SELECT setval(pg_get_serial_sequence('item', 'id'), {rows})",
        "VACUUM ANALYZE item",
        "CHECKPOINT",
    ),
    "mysql": (
        "INSERT INTO owner (id) SELECT seq FROM seq_1_to_1000",
        "INSERT INTO item SELECT seq, 'item', seq, seq %% 1000, seq %% 100, seq %% 1000 + 1, 'new'"
        " FROM seq_1_to_{rows}",
        "ANALYZE TABLE item",
    ),
}
Items = dict[str, Callable[[], Any]]
BASE: Items = {
    "id": lambda: sa.Column("id", sa.Integer, primary_key=True),
    "name": lambda: sa.Column("name", sa.String(40)),
    "code": lambda: sa.Column("code", sa.Integer),
    "number": lambda: sa.Column("number", sa.Integer),
    "amount": lambda: sa.Column("amount", sa.Numeric(6, 2)),
    "owner_id": lambda: sa.Column("owner_id", sa.Integer),
    "state": lambda: sa.Column("state", sa.Enum("new", "old", name="state")),
    "index": lambda: sa.Index("ix_item_amount", "amount"),
    "check": lambda: sa.CheckConstraint("number >= 0", name="number"),
}


@dataclass(frozen=True)
class Change:
    """What changes: in the models, step by step or by `flask db backfill`, and as a plain operation."""

    name: str
    stock: str | dict[str, str]
    steps: list[Items | list[str]] | dict[str, list[Items | list[str]]]
    options: tuple[str, ...] = ()
    before: Items = field(default_factory=dict)


def new(*arguments: Any, **options: Any) -> Items:  # noqa: ANN401
    """A column that the table doesn't have."""
    return {"new": lambda: sa.Column("new", *arguments, **options)}


def changed(name: str, *arguments: Any, **options: Any) -> Items:  # noqa: ANN401
    return {name: lambda: sa.Column(name, *arguments, **options)}


def filled(kind: Any, value: str) -> list[Items | list[str]]:  # noqa: ANN401
    """A new column, and then its values."""
    return [new(kind), ["backfill", "item.new", value]]


CHANGES: list[Change] = [
    Change(
        "add a column that may be NULL",
        'op.add_column("item", sa.Column("new", sa.Integer))',
        [new(sa.Integer)],
    ),
    Change(
        "add a column with a constant default",
        'op.add_column("item", sa.Column("new", sa.Integer, server_default="1", nullable=False))',
        [new(sa.Integer, server_default="1", nullable=False)],
    ),
    Change(
        "add a column whose default calls a function",
        {
            "postgresql": 'op.add_column("item", sa.Column("new", sa.String(36),'
            ' server_default=sa.text("gen_random_uuid()")))',
            "mysql": 'op.add_column("item", sa.Column("new", sa.String(36), server_default=sa.text("(uuid())")))',
        },
        {
            "postgresql": filled(sa.String(36), "gen_random_uuid()"),
            "mysql": filled(sa.String(36), "uuid()"),
        },
    ),
    Change(
        "add a stored generated column",
        'op.add_column("item", sa.Column("new", sa.Integer, sa.Computed("number * 2", persisted=True)))',
        filled(sa.Integer, "number * 2"),
    ),
    Change(
        "add a column with a foreign key",
        'op.add_column("item", sa.Column("new", sa.Integer))\n'
        'op.create_foreign_key("fk_new", "item", "owner", ["new"], ["id"])',
        [{"new": lambda: sa.Column("new", sa.ForeignKey("owner.id"))}],
    ),
    Change(
        "make a string longer",
        'op.alter_column("item", "name", type_=sa.String(60), existing_type=sa.String(40))',
        [changed("name", sa.String(60))],
    ),
    Change(
        "make a string a text",
        'op.alter_column("item", "name", type_=sa.Text, existing_type=sa.String(40))',
        {"postgresql": [changed("name", sa.Text)], "mysql": filled(sa.Text, "name")},
    ),
    Change(
        "make an integer larger",
        'op.alter_column("item", "number", type_=sa.BigInteger, existing_type=sa.Integer)',
        filled(sa.BigInteger, "number"),
    ),
    Change(
        "give a number more digits",
        'op.alter_column("item", "amount", type_=sa.Numeric(9, 2), existing_type=sa.Numeric(6, 2))',
        {
            "postgresql": [changed("amount", sa.Numeric(9, 2))],
            "mysql": filled(sa.Numeric(9, 2), "amount"),
        },
    ),
    Change(
        "set NOT NULL",
        'op.alter_column("item", "number", nullable=False, existing_type=sa.Integer)',
        [changed("number", sa.Integer, nullable=False)],
    ),
    Change(
        "add an index",
        'op.create_index("ix_number", "item", ["number"])',
        [changed("number", sa.Integer, index=True)],
    ),
    Change(
        "add an index of many columns",
        'op.create_index("ix_many", "item", ["number", "owner_id", "code"])',
        [{"new": lambda: sa.Index("ix_many", "number", "owner_id", "code")}],
    ),
    Change(
        "remove an index",
        'op.drop_index("ix_item_amount", "item")',
        [{"index": lambda: None}],
    ),
    Change(
        "make an index unique",
        'op.drop_index("ix_code", "item")\nop.create_index("ix_code", "item", ["code"], unique=True)',
        [{"index": lambda: sa.Index("ix_code", "code", unique=True)}],
        before={"index": lambda: sa.Index("ix_code", "code")},
    ),
    Change(
        "add a unique constraint",
        'op.create_unique_constraint("uq_code", "item", ["code"])',
        [{"new": lambda: sa.UniqueConstraint("code")}],
    ),
    Change(
        "add a foreign key",
        'op.create_foreign_key("fk_owner", "item", "owner", ["owner_id"], ["id"])',
        [{"owner_id": lambda: sa.Column("owner_id", sa.ForeignKey("owner.id"))}],
    ),
    Change(
        "add a check",
        'op.create_check_constraint("ck_code", "item", "code >= 0")',
        {
            "postgresql": [{"new": lambda: sa.CheckConstraint("code >= 0", name="code")}],
            "mysql": [],
        },
    ),
    Change(
        "remove a check",
        'op.drop_constraint("ck_item_number", "item", type_="check")',
        [{"check": lambda: None}],
    ),
    Change(
        "add a member to an enum type",
        {
            "postgresql": "op.execute(\"ALTER TYPE state ADD VALUE 'lost'\")",
            "mysql": 'op.alter_column("item", "state", type_=sa.Enum("new", "old", "lost"),'
            ' existing_type=sa.Enum("new", "old"))',
        },
        [changed("state", sa.Enum("new", "old", "lost", name="state"))],
    ),
    Change(
        "remove a column",
        'op.drop_column("item", "code")',
        [{"code": lambda: None}],
        ("-x", "drop=item.code"),
    ),
    Change(
        "change all rows at once",
        "op.execute(\"UPDATE item SET name = 'x'\")",
        [["backfill", "item.name", "'x'", "--where", "name <> 'x'"]],
    ),
]


def main(rows: int) -> None:
    """Measure each change on each server, and print or write the table."""
    cells: dict[str, list[str]] = {change.name: [] for change in CHANGES}
    names = []
    for name, server in databases():
        if server:
            names.append(f"{name} {version_of(server)}")
            for change in CHANGES:
                cells[change.name] += measure(server, change, rows)
                print(name, change.name, *cells[change.name][-3:], sep=" | ", flush=True)
    columns = [f"{name}: {side}" for name in names for side in ("no change", "ours", "plain")]
    print()
    head("change", *columns)
    for change, found in cells.items():
        row(change, *found)
    if os.environ.get("UPDATE_DOCS") == "1":
        lines = [f"| {' | '.join(['change', *columns])} |", "|---" * (len(columns) + 1) + "|"]
        lines += [f"| {' | '.join([change, *found])} |" for change, found in cells.items()]
        today = f"Measured on {date.today()} with {rows:,} rows on {os.cpu_count()} cores."  # noqa: DTZ011
        table = START + "\n".join(lines) + f"\n\n{today}\n" + END
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(re.sub(f"{START}.*{END}", lambda _: table, text, flags=re.DOTALL))


def measure(server: Server, change: Change, rows: int) -> list[str]:
    """The longest waits in milliseconds: without a change, during ours, during the plain operation."""
    steps = change.steps if isinstance(change.steps, list) else change.steps[server.kind]
    code = change.stock if isinstance(change.stock, str) else change.stock[server.kind]
    without, plain = measure_one(server, rows, lambda it: run_plain(it.url, code), change.before)
    if not steps:
        return [f"{without:.0f}", "refused", f"{plain:.0f}"]

    def apply(site: Any) -> None:  # noqa: ANN401
        for step in steps:
            if isinstance(step, list):
                site.flask(*step)
            else:
                site.new_app(models(step), MIGRATION_BATCH_PAUSE=0.02)
                site.flask("migrate", "-m", "change", *change.options)
                site.flask("upgrade")

    without, ours = measure_one(server, rows, apply, change.before)
    missed = " (missed)" if ours > 1.2 * without + 100 else ""
    return [f"{without:.0f}", f"{ours:.0f}{missed}", f"{plain:.0f}"]


def measure_one(
    server: Server, rows: int, apply: Callable[[Any], None], before: Items
) -> tuple[float, float]:
    """The longest waits before and during the change of a new table."""
    from apps import Site

    with tempfile.TemporaryDirectory() as folder:
        database = server.new_database()
        url = server.admin.set(database=database).render_as_string(hide_password=False)
        site = Site(Path(folder), url)
        site.new_app(models(before), MIGRATION_BATCH_PAUSE=0.02)
        for command in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
            site.flask(*command)
        server.run(*(it.format(rows=rows) for it in FILL[server.kind]), database=database)
        with clients(url, rows) as longest:
            time.sleep(2)
            longest[:] = [0.0] * CLIENTS
            time.sleep(SECONDS)
            without = max(longest)
            longest[:] = [0.0] * CLIENTS
            apply(site)
            time.sleep(1)
        found = max(longest)  # when all have ended: one that waited has its answer now
        for app in site.apps:
            with app.app_context():
                app.extensions["migrate"].db.engine.dispose()
        server.run(f"DROP DATABASE {database}")
    return without * 1000, found * 1000


def models(changes: Items) -> Callable[[sa.MetaData], None]:
    def declare(metadata: sa.MetaData) -> None:
        sa.Table("owner", metadata, sa.Column("id", sa.Integer, primary_key=True))
        items = [make() for make in (BASE | changes).values()]
        sa.Table("item", metadata, *(it for it in items if it is not None))

    return declare


@contextmanager
def clients(url: str, rows: int) -> Iterator[Any]:
    """Run the clients, and give the longest wait of each, in seconds; all zeros begins again."""
    context = multiprocessing.get_context("fork")
    longest, is_over = context.Array("d", CLIENTS), context.Event()
    processes = [
        context.Process(target=use, args=(url, rows, number, longest, is_over), daemon=True)
        for number in range(CLIENTS)
    ]
    for process in processes:
        process.start()
    try:
        yield longest
    finally:
        is_over.set()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        sys.exit("A client met an error.")


def use(url: str, rows: int, number: int, longest: Any, is_over: Any) -> None:  # noqa: ANN401
    """Read or write single rows, and note how long each statement took.

    A statement that PostgreSQL has prepared fails once where a type changes. These are no such ones.
    """
    read = "SELECT name FROM item WHERE id = {id}"
    write = "UPDATE item SET owner_id = {owner} WHERE id = {id}"
    insert = "INSERT INTO item (name, number, owner_id) VALUES ('new', 1, {owner})"
    choose = random.Random(number)  # noqa: S311
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not is_over.is_set():
            values = {"id": choose.randint(1, rows), "owner": choose.randint(1, 1000)}
            statement = read if number % 2 else choose.choice([write, insert])
            started = time.perf_counter()
            connection.exec_driver_sql(statement.format(**values))
            longest[number] = max(longest[number], time.perf_counter() - started)
            time.sleep(PAUSE)


def run_plain(url: str, code: str) -> None:
    """Run an operation in a process that knows nothing of the extension."""
    subprocess.run([sys.executable, __file__, "plain", url, code], check=True)


def plain(url: str, code: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    with sa.create_engine(url).begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        exec(code, {"op": op, "sa": sa})  # noqa: S102


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
