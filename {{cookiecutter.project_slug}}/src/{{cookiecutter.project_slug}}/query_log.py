"""How many queries a request makes and how long they take; slow and repeated ones are named."""

from __future__ import annotations

import time
from collections import Counter

from flask import Flask, Response, current_app, g, has_app_context
from sqlalchemy import Connection, Engine, event

# So often the same statement in one request: a loop that loads one row after another.
# https://docs.sqlalchemy.org/en/21/orm/queryguide/relationships.html#relationship-loading-techniques
REPEATED = 5
TRANSACTION = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")  # no queries


class Queries:
    """What one request, or command, has asked of the database."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.statements: Counter[str] = Counter()

    @property
    def number(self) -> int:
        return self.statements.total()


def init_app(app: Flask, engine: Engine) -> None:
    event.listen(engine, "before_cursor_execute", _start)
    event.listen(engine, "after_cursor_execute", _stop)
    if app.debug:
        app.after_request(_name_repeated)


def of_this_request() -> Queries:
    queries: Queries = g.setdefault("queries", Queries())
    return queries


def _start(connection: Connection, *arguments: object) -> None:
    connection.info["query_started"] = time.perf_counter()


def _stop(connection: Connection, cursor: object, statement: str, *arguments: object) -> None:
    if not has_app_context() or statement.startswith(TRANSACTION):
        return
    seconds = time.perf_counter() - connection.info["query_started"]
    queries = of_this_request()
    queries.seconds += seconds
    queries.statements[statement] += 1
    limit = current_app.config["SLOW_QUERY"]
    if limit and seconds > limit:
        current_app.logger.warning("A query took %.1f s: %s", seconds, statement)


def _name_repeated(response: Response) -> Response:
    for statement, number in of_this_request().statements.items():
        if number >= REPEATED:
            current_app.logger.warning(
                "The same query %d times in one request, where one could load all rows: %s",
                number,
                statement,
            )
    return response
