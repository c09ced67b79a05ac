"""Columns mean the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import literal, select
from sqlalchemy.exc import StatementError

from {{ cookiecutter.project_slug }}.database import db
from {{ cookiecutter.project_slug }}.database.types import UtcDateTime


def test_a_moment_comes_back_in_utc(app: Flask) -> None:
    moment = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    with app.app_context():
        found = db.session.scalar(select(literal(moment, UtcDateTime())))

    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


def test_a_datetime_without_a_time_zone_is_refused(app: Flask) -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001

    with app.app_context(), pytest.raises(StatementError, match="no time zone"):
        db.session.scalar(select(literal(naive, UtcDateTime())))


def test_nothing_stays_nothing(app: Flask) -> None:
    with app.app_context():
        assert db.session.scalar(select(literal(None, UtcDateTime()))) is None
