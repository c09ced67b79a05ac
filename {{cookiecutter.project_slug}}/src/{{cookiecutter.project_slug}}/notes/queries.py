"""How notes are found, checked and saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

{% if cookiecutter.accounts == "yes" %}from flask import g
{% endif -%}
from sqlalchemy import Select, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import flag_modified

from ..database import db
from .models import Note, Tag, note_tag

# PostgreSQL stores no NUL, and no database half of a surrogate pair; the others only confuse.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def find(
    *, search: str = "", tag: str = "", before: int | None = None, limit: int
) -> Sequence[Note]:
    """The newest notes first.

    Args:
        search: a text that the title or the body has, in whatever case.
        tag: the name of a tag that the notes have.
        before: only notes older than the one with this id. The primary key finds them at once,
            where an OFFSET would count through all that are newer.
        limit: how many notes at most.
    """
    query, newest = _notes().limit(limit), Note.id.desc()
    if before is not None:
        query = query.where(Note.id < before)
    if search:
        columns = (Note.title, Note.body)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    if tag:
        # In these words, the index of note_tag gives the newest notes of the tag and reads no other.
        tag_id = select(Tag.id).where(Tag.name == tag).scalar_subquery()
        query = query.join(note_tag).where(note_tag.c.tag_id == tag_id)
        newest = note_tag.c.note_id.desc()
    return db.session.scalars(query.order_by(newest)).all()


def get(note_id: int) -> Note:
    """One of the notes.

    Raises:
        werkzeug.exceptions.NotFound: there is none of this id.
    """
    query = _notes().where(Note.id == note_id)
    note: Note = db.one_or_404(query, description=f"There is no note {note_id}.")
    return note


def _notes() -> Select[Note]:
{%- if cookiecutter.accounts == "yes" %}
    """The notes of whoever asks. Of those of others, nobody learns whether they are there."""
    return select(Note).where(Note.owner_id == g.account_id)
{%- else %}
    """The notes, which are everybody's."""
    return select(Note)
{%- endif %}


def clean(text: str | None, *, lines: bool = False) -> str:
    """The text without spaces around it, and with plain line ends; empty where there is none.

    Args:
        lines: whether it may have more than one line.

    Raises:
        ValueError: it has characters that are no text.
    """
    text = (text or "").replace("\r\n", "\n").strip()
    if CONTROL_CHARACTERS.search(text) or (not lines and ("\n" in text or "\t" in text)):
        raise ValueError("It has a control character or a line break. Type plain text.")
    return text


def save(note: Note, *, title: str, body: str, tags: Iterable[str]) -> None:
    """Write a note as `write` does, and commit."""
    write(note, title=title, body=body, tags=tags)
    db.session.commit()


def write(note: Note, *, title: str, body: str, tags: Iterable[str]) -> None:
    """Write a note that is new, or was read in this session.

    Raises:
        sqlalchemy.orm.exc.StaleDataError: it has been changed or deleted since it was read.
    """
{%- if cookiecutter.accounts == "yes" %}
    note.owner_id = g.account_id
{%- endif %}
    note.tags = _tags(tags)
    note.title, note.body = title, body
    flag_modified(note, "title")  # so that a change of the tags alone makes a new version, too
    db.session.add(note)
    db.session.flush()


def delete(note: Note) -> None:
    """Delete a note that was read in this session, and commit.

    Raises:
        sqlalchemy.orm.exc.StaleDataError: it has been changed or deleted since it was read.
    """
    db.session.delete(note)
    db.session.commit()


def _tags(names: Iterable[str]) -> list[Tag]:
    """The tags of these names, those that are there already and new ones."""
    wanted = sorted(set(names))  # always in one order, or two writers could wait for each other
    known = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(wanted)))}
    tags = [known.get(name) or _make_tag(name) for name in wanted]
    return list(dict.fromkeys(tags))  # to MySQL, "shop" and "Shop" are one


def _make_tag(name: str) -> Tag:
    tag = Tag(name=name)
    try:
        with db.session.begin_nested():
            db.session.add(tag)
    except IntegrityError:  # somebody else has made it meanwhile
        query = select(Tag).where(Tag.name == name).with_for_update(read=True)
        return db.session.scalars(query).one()
    return tag
