"""Eight processes that write to one SQLite database, with our settings and with the stock ones.

    uv run python benchmarks/sqlite_writers.py

Each posts notes to the application, which looks their tags up before it writes: the pattern that
ends in `database is locked`. Rounds alternate, so that the machine's moods meet both alike.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict

from measuring import Ratios, head, make_project, new_uri, ratios, row, run, summary

WRITERS = 8
NOTES = 50  # for each writer
ROUNDS = 5


def main() -> Ratios:
    """Make a project, measure in it, and print a table."""
    speeds: dict[str, list[float]] = defaultdict(list)
    locked: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(folder, new_uri(None))
        for number, settings in enumerate(["ours", "stock"] * ROUNDS):
            result = json.loads(run(project, "python", __file__, settings, f"{folder}/{number}.db"))
            speeds[settings].append(result["written"] / result["seconds"])
            locked[settings] += result["locked"]
    print(f"{WRITERS} writers, {NOTES} notes each, {ROUNDS} rounds\n")
    head("settings", "notes/s, median (lowest to highest)", "`database is locked`")
    for settings, speed in speeds.items():
        row(settings, summary(speed), f"{locked[settings]} of {WRITERS * NOTES * ROUNDS}")
    ratio = ratios(speeds["ours"], speeds["stock"])
    print(f"\nours / stock: {summary(ratio)}")
    return {"notes/s of eight writers": {"SQLite": ratio}}


def measure(settings: str, path: str) -> None:
    """Run the writers on a new database, in the project's own environment."""
    import flask_migrate

    os.environ |= {"SECRET_KEY": "0123456789abcdef" * 4, "DATABASE_URL": f"sqlite:///{path}"}
    with make_app(settings).app_context():
        flask_migrate.upgrade()
    queue: multiprocessing.Queue[tuple[float, float, int, int]] = multiprocessing.Queue()
    start = multiprocessing.Barrier(WRITERS)
    writers = [
        multiprocessing.Process(target=write, args=(settings, number, start, queue))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    ends = [queue.get() for _ in writers]
    for writer in writers:
        writer.join()
    result = {
        "seconds": max(end[1] for end in ends) - min(end[0] for end in ends),
        "written": sum(end[2] for end in ends),
        "locked": sum(end[3] for end in ends),
    }
    print(json.dumps(result))


def make_app(settings: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    from my_app import create_app, database

    if settings == "stock":
        for listener in ("_set_up_sqlite", "_begin_on_sqlite"):
            setattr(database, listener, lambda *arguments: None)
        database.get_connect_args = lambda *arguments: {}
    app = create_app()
    app.config["WTF_CSRF_ENABLED"] = False
    return app


def write(settings, number, start, queue) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    client = make_app(settings).test_client()
    client.application.logger.disabled = True
    client.get("/notes")
    start.wait()
    started = time.time()
    codes = [
        client.post(
            "/notes/new", data={"title": f"{number}-{note}", "tags": f"a{number}"}
        ).status_code
        for note in range(NOTES)
    ]
    queue.put((started, time.time(), codes.count(302), codes.count(500)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], sys.argv[2])
    else:
        main()
