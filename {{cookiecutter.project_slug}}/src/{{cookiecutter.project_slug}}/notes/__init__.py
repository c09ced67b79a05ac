"""The example, to learn from or to delete: notes with tags."""
{% if cookiecutter.accounts == "yes" %}
from flask import g
from sqlalchemy import Select, select

from ..database import db
from .models import Note


def visible_notes() -> Select[Note]:
    """Return the query for the notes of the account that makes the request."""
    return select(Note).where(Note.owner_id == g.account_id)


def new_note() -> Note:
    """Return a note of the account that makes the request."""
    return Note(owner_id=g.account_id)


def get_note_or_404(note_id: int) -> Note:
    """Return the note, or raise NotFound where the request may not see it."""
    query = visible_notes().where(Note.id == note_id)
    note: Note = db.one_or_404(query, description=f"There is no note {note_id}.")
    return note
{%- else %}
from sqlalchemy import Select, select

from ..database import db
from .models import Note


def visible_notes() -> Select[Note]:
    """Return the query for the notes that a request may see."""
    return select(Note)


def new_note() -> Note:
    """Return a note that is not saved yet."""
    return Note()


def get_note_or_404(note_id: int) -> Note:
    """Return the note, or raise NotFound where the request may not see it."""
    query = visible_notes().where(Note.id == note_id)
    note: Note = db.one_or_404(query, description=f"There is no note {note_id}.")
    return note
{%- endif %}
