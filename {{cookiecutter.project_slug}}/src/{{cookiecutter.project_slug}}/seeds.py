"""The rows that a new database starts with: `flask db seed` and `flask db prepare` add them."""
{% if cookiecutter.accounts == "yes" %}

def seed() -> None:
    """Add the rows that are missing. It may run repeatedly.

    There are none yet: what people write belongs to an account, and a new database has none.
    """
{%- else %}
from sqlalchemy import select

from .database import db
from .notes.models import Note, Tag


def seed() -> None:
    """Add the rows that are missing. It may run repeatedly."""
    if not db.session.scalar(select(Note).limit(1)):
        tag = db.session.scalar(select(Tag).where(Tag.name == "first")) or Tag(name="first")
        db.session.add(Note(title="Welcome", body="This note comes from seeds.py.", tags=[tag]))
    db.session.commit()
{%- endif %}
