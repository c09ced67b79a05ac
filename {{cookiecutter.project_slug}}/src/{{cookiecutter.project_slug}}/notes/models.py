"""The tables of the notes and their tags."""

import datetime as dt
from typing import ClassVar

{% if cookiecutter.accounts == "yes" -%}
from flask import g
{% endif -%}
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..database import db

MAX_TEXT_LENGTH = 10_000  # characters; a TEXT of MySQL holds 65,535 bytes
MAX_TAGS = 20  # of a note

note_tag = db.Table(
    "note_tag",
    Column("note_id", ForeignKey("note.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "tag_id", "note_id"),  # for the newest notes of a tag
)


class Note(db.Model):
    """A text with a title."""

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())  # by the database
    # Optimistic locking: https://docs.sqlalchemy.org/en/21/orm/versioning.html
    version: Mapped[int] = mapped_column(server_default="1")
{%- if cookiecutter.accounts == "yes" %}
    owner_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), default=lambda: g.account_id
    )

    __table_args__ = (
        Index(None, "owner_id", "id"),  # for the newest notes of an account
{%- else %}

    __table_args__ = (
{%- endif %}
        # Not title <> '': to newer MySQL and MariaDB, some invisible characters equal ''.
        CheckConstraint("length(title) > 0", name="title_not_empty"),
    )

    tags: Mapped[list["Tag"]] = relationship(
        secondary=note_tag, back_populates="notes", lazy="selectin"
    )

    # eager_defaults: saving also reads what the database has set.
    __mapper_args__: ClassVar = {"version_id_col": version, "eager_defaults": True}

    def __str__(self) -> str:
        return self.title

    @property
    def tag_names(self) -> list[str]:
        """Return the names, sorted by Python: databases sort e, E and é differently."""
        return sorted(tag.name for tag in self.tags)


class Tag(db.Model):
    """A label by which notes are found."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)

    notes: Mapped[list[Note]] = relationship(secondary=note_tag, back_populates="tags")


MAX_TITLE_LENGTH = Note.title.type.length or MAX_TEXT_LENGTH
MAX_BODY_LENGTH = Note.body.type.length or MAX_TEXT_LENGTH
MAX_TAG_LENGTH = Tag.name.type.length or MAX_TEXT_LENGTH
