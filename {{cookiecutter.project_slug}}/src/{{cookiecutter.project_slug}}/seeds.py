"""The rows that a new database begins with: for `flask db seed` and `flask db prepare`."""

from __future__ import annotations
{% if cookiecutter.accounts == "yes" %}
from .database import db


def seed() -> None:
    """Add the rows that are missing: to run it again does no harm.

    There are none yet: a note belongs to somebody, and a new database has nobody.
    """
    db.session.commit()
{%- else %}
from sqlalchemy import select

from .database import db
from .notes.models import Note, Tag


def seed() -> None:
    """Add the rows that are missing: to run it again does no harm."""
    if not db.session.scalar(select(Note).limit(1)):
        tag = db.session.scalar(select(Tag).where(Tag.name == "first")) or Tag(name="first")
        db.session.add(Note(title="Welcome", body="This note comes from seeds.py.", tags=[tag]))
    db.session.commit()
{%- endif %}
