"""The rows that a new database starts with: `flask db seed` and `flask db prepare` add them."""

from __future__ import annotations

{% if cookiecutter.accounts == "no" -%}
from sqlalchemy import select

{% endif -%}
from .database import db
{%- if cookiecutter.accounts == "no" %}
from .notes.models import Note, Tag
{%- endif %}


def seed() -> None:
    """Add the rows that are missing. It can run again at any time."""
{%- if cookiecutter.accounts == "no" %}
    if not db.session.scalar(select(Note).limit(1)):
        tag = db.session.scalar(select(Tag).where(Tag.name == "first")) or Tag(name="first")
        db.session.add(Note(title="Welcome", body="This note comes from seeds.py.", tags=[tag]))
{%- endif %}
    db.session.commit()
