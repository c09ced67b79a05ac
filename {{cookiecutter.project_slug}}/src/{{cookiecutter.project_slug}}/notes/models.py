"""The tables of the notes and their tags."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKey, String, Table, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..database import Base

note_tag = Table(
    "note_tag",
    Base.metadata,
    Column("note_id", ForeignKey("note.id", ondelete="CASCADE"), primary_key=True),
    # The primary key serves look-ups by note; this index those by tag.
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Note(Base):
    """A text with a title."""

    __tablename__ = "note"
    __table_args__ = (CheckConstraint("title <> ''", name="title_not_empty"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    # The database fills it in, so that rows made by other programs have it too.
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    tags: Mapped[list[Tag]] = relationship(
        secondary=note_tag, back_populates="notes", order_by="Tag.name", lazy="selectin"
    )


class Tag(Base):
    """A word that notes are found by."""

    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)

    notes: Mapped[list[Note]] = relationship(secondary=note_tag, back_populates="tags")
