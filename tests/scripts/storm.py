"""In a project: many processes upgrade one empty database at the same moment, again and again.

    python storm.py ROUNDS PROCESSES

Prints, as JSON, how each process ended, and in what state each round left the database.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
from typing import Any

import flask_migrate
from my_app import create_app
from my_app.database import db
from sqlalchemy import text


def upgrade(start: Any) -> None:  # noqa: ANN401
    app = create_app()
    start.wait()
    with app.app_context():
        flask_migrate.upgrade()


def main(rounds: int, processes: int) -> None:
    logging.root.addHandler(logging.NullHandler())
    app = create_app()
    codes: list[int] = []
    applied: list[list[int]] = []
    for _ in range(rounds):
        with app.app_context():
            flask_migrate.downgrade(revision="base")
            with db.engine.begin() as connection:
                connection.execute(text("DELETE FROM applied"))
            db.engine.dispose()
        start = multiprocessing.Barrier(processes)
        children = [
            multiprocessing.Process(target=upgrade, args=(start,)) for _ in range(processes)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
            codes.append(child.exitcode or 0)
        with app.app_context():
            with db.engine.connect() as connection:
                applied.append(sorted(connection.scalars(text("SELECT number FROM applied"))))
            flask_migrate.check()
    print(json.dumps({"codes": codes, "applied": applied}), file=sys.__stdout__)


if __name__ == "__main__":
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    main(int(sys.argv[1]), int(sys.argv[2]))
