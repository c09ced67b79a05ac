"""How notes are found and saved."""

from collections.abc import Iterable, Sequence
from typing import Any

{% if cookiecutter.accounts == "yes" -%}
from blinker import signal
from flask import g
{% endif -%}
from sqlalchemy import Select, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import flag_modified

from ..database import MAX_INTEGER, db
from .models import Note, Tag, note_tag

{% if cookiecutter.accounts == "yes" %}
@signal("account-deleted").connect
def delete_unused_tags(sender: object) -> None:
    """Delete the tags that no note has now. Accounts share the tags."""
    unused = ~Tag.notes.any()
    # Locked first: another request may be adding one of them to a note.
    ids = db.session.scalars(select(Tag.id).where(unused).with_for_update()).all()
    db.session.execute(db.delete(Tag).where(Tag.id.in_(ids), unused))


def visible_notes() -> Select[Note]:
    """Return the query for the notes of the account that makes the request."""
    return select(Note).where(Note.owner_id == g.account_id)
{% else %}
def visible_notes() -> Select[Note]:
    """Return the query for the notes that a request may see: all of them."""
    return select(Note)
{% endif %}

def get_note_or_404(note_id: int) -> Note:
    """Return the note, or raise NotFound."""
    query = visible_notes().where(Note.id == note_id)
    note: Note = db.one_or_404(query, description=f"There is no note {note_id}.")
    return note


def list_notes(
    search: str = "", tag: str = "", before: int | None = None, limit: int = 20
) -> Sequence[Note]:
    """Return the newest notes that contain `search`, have the tag and an id below `before`."""
    query, order = visible_notes(), Note.id.desc()
    if before is not None:
        query = query.where(Note.id < before)
    if search:
        columns = (Note.title, Note.body)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    if tag:
        # Limited and sorted by columns of note_tag: its index alone finds the newest notes.
        tag_id = select(Tag.id).where(Tag.name == tag).scalar_subquery()
        query = query.join(note_tag).where(note_tag.c.tag_id == tag_id)
        query = query.where(note_tag.c.note_id <= (before or MAX_INTEGER))  # < before: see above
        order = note_tag.c.note_id.desc()
    return db.session.scalars(query.order_by(order).limit(limit)).all()


def save_note(note: Note, *, tag_names: Iterable[str], **values: Any) -> None:
    """Save these values. Raise StaleDataError if the note has changed since it was read."""
    note.tags = _get_tags(tag_names)
    for name, value in values.items():
        setattr(note, name, value)
    flag_modified(note, "title")  # the version rises even if only the tags have changed
    db.session.add(note)
    db.session.commit()


def delete_note(note: Note) -> None:
    """Delete a note. Raise StaleDataError if it has changed since it was read."""
    db.session.delete(note)
    db.session.commit()


def _get_tags(names: Iterable[str]) -> list[Tag]:
    """Return the tags with these names, and create those that are missing."""
    wanted = sorted(set(names))  # in one order, so that two requests can't deadlock
    known = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(wanted)))}
    tags = [known.get(name) or _get_or_create_tag(name) for name in wanted]
    return list(dict.fromkeys(tags))  # MySQL finds the same tag for "Shop" and "shop"


def _get_or_create_tag(name: str) -> Tag:
    tag = Tag(name=name)
    try:
        with db.session.begin_nested():
            db.session.add(tag)
    except IntegrityError:  # another request made it, or MySQL takes "Shop" for "shop"
        query = select(Tag).where(Tag.name == name).with_for_update(read=True)
        return db.session.scalars(query).one()  # with a lock: MySQL's snapshot may lack the row
    return tag
