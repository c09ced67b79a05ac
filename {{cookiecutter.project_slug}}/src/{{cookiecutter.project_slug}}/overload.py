"""Requests that are held up do not hold up the health checks.

Where a database hangs, they would otherwise fill all threads of the server, and then its queue.
"""

from __future__ import annotations

import time
from threading import Semaphore

from flask import Flask, g, request
from werkzeug.exceptions import ServiceUnavailable

QUEUE = 8  # requests that wait until others end; gunicorn.conf.py has threads for them
# Seconds without one that begins or ends, until those that wait, and those beyond, are refused.
PATIENCE = 5.0
LITTLE_PATIENCE = 0.5


def init_app(app: Flask) -> None:
    gate = Gate(app.config["WEB_THREADS"])
    app.before_request(gate.enter)
    app.teardown_appcontext(gate.leave)  # after the database has been let go


class Gate:
    """Lets so many requests in at a time."""

    def __init__(self, number: int) -> None:
        self._free = Semaphore(number)
        self._queue = Semaphore(QUEUE)
        self._moved = 0.0

    def enter(self) -> None:
        """Wait for a place.

        Raises:
            ServiceUnavailable: it seems that there will be none soon.
        """
        if request.blueprint == "health":
            return
        if not (self._free.acquire(blocking=False) or self._wait()):
            message = "Too many requests are under way. Try again in a minute."
            raise ServiceUnavailable(message, retry_after=60)
        self._moved = time.monotonic()
        g.entered = True

    def leave(self, error: BaseException | None) -> None:
        if g.pop("entered", False):
            self._moved = time.monotonic()
            self._free.release()

    def _wait(self) -> bool:
        queued = self._queue.acquire(blocking=False)
        patience = PATIENCE if queued else LITTLE_PATIENCE
        found = self._free.acquire(timeout=max(0.0, self._moved + patience - time.monotonic()))
        if queued:
            self._queue.release()
        return found
