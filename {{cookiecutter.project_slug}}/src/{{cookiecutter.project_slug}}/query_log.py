"""Counts and times the queries of a request, and logs those that are slow or repeated."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from flask import Flask, Response, current_app, g, has_app_context
from sqlalchemy import Connection, Engine, event

# The same statement this often in a request: a loop that loads one row after another.
# https://docs.sqlalchemy.org/en/21/orm/queryguide/relationships.html#relationship-loading-techniques
REPEATED = 5
TRANSACTION = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")  # no queries


@dataclass
class Queries:
    """The queries of one request or command."""

    seconds: float = 0.0
    statements: Counter[str] = field(default_factory=Counter)


def init_app(app: Flask, engine: Engine) -> None:
    """Observe the queries of the engine."""
    event.listen(engine, "before_cursor_execute", _start_timer)
    event.listen(engine, "after_cursor_execute", _record_query)
    if app.debug:
        app.after_request(_log_repeated)


def get_queries() -> Queries:
    """Return the queries of this request or command."""
    queries: Queries = g.setdefault("queries", Queries())
    return queries


def _start_timer(connection: Connection, *arguments: object) -> None:
    connection.info["query_started"] = time.perf_counter()


def _record_query(connection: Connection, cursor: object, sql: str, *arguments: object) -> None:
    if not has_app_context() or sql.startswith(TRANSACTION):
        return
    seconds = time.perf_counter() - connection.info["query_started"]
    queries = get_queries()
    queries.seconds += seconds
    queries.statements[sql] += 1
    if 0 < current_app.config["SLOW_QUERY"] < seconds:
        current_app.logger.warning("A query took %.1f s: %s", seconds, sql)


def _log_repeated(response: Response) -> Response:
    message = "The same query ran %d times in one request. Load all rows at once: %s"
    for sql, number in get_queries().statements.items():
        if number >= REPEATED:
            current_app.logger.warning(message, number, sql)
    return response
