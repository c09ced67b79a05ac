{%- if cookiecutter.accounts == "yes" -%}
"""Which notes a request may see: those of its account."""

from __future__ import annotations

from flask import g
from sqlalchemy import Select, select

from .models import Note


def visible_notes() -> Select[Note]:
    """Return the query for the notes of the account."""
    return select(Note).where(Note.owner_id == g.account_id)
{%- else -%}
"""Which notes a request may see: all of them."""

from __future__ import annotations

from sqlalchemy import Select, select

from .models import Note


def visible_notes() -> Select[Note]:
    """Return the query for the notes."""
    return select(Note)
{%- endif %}
