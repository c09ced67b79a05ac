"""The tables of the notes and their tags."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..database import Base

BODY_LENGTH = 10_000  # characters; on MySQL, a TEXT holds 65,535 bytes
MOST_TAGS = 20  # of a note
LARGEST_ID = 2**31 - 1  # of an INTEGER column

note_tag = Table(
    "note_tag",
    Base.metadata,
    Column("note_id", ForeignKey("note.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
    # The primary key serves look-ups by note; this those by tag, the newest notes first.
    Index(None, "tag_id", "note_id"),
)


class Note(Base):
    """A text with a title."""

    __tablename__ = "note"
    # Not title <> '': to newer MySQL and MariaDB, a title of invisible characters is equal to ''.
{%- if cookiecutter.accounts == "yes" %}
    __table_args__ = (
        CheckConstraint("length(title) > 0", name="title_not_empty"),
        Index(None, "owner_id", "id"),  # the newest notes of somebody
    )
{%- else %}
    __table_args__ = (CheckConstraint("length(title) > 0", name="title_not_empty"),)
{%- endif %}

    id: Mapped[int] = mapped_column(primary_key=True)
{%- if cookiecutter.accounts == "yes" %}
    owner_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
{%- endif %}
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    # The database fills it in, so that rows made by other programs have it too.
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Counts the changes: an UPDATE of a version that is no longer there fails, and nobody's is lost.
    # https://docs.sqlalchemy.org/en/21/orm/versioning.html
    version: Mapped[int] = mapped_column(server_default="1")

    tags: Mapped[list[Tag]] = relationship(
        secondary=note_tag, back_populates="notes", order_by="Tag.name", lazy="selectin"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

    @property
    def tag_names(self) -> list[str]:
        """The names of the tags, sorted alike on each database: each has its own order of e, E and é."""
        return sorted(tag.name for tag in self.tags)


class Tag(Base):
    """A word that notes are found by."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)

    notes: Mapped[list[Note]] = relationship(secondary=note_tag, back_populates="tags")
