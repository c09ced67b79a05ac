"""What a visitor may type to make a note."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from .models import Note, Tag


def words(text: str | None) -> list[str]:
    """Split at commas: each tag once, without the spaces around it."""
    return list(dict.fromkeys(word for part in (text or "").split(",") if (word := part.strip())))


def stripped(text: str | None) -> str:
    """The text without spaces around it; empty where there is none."""
    return (text or "").strip()


class NoteForm(FlaskForm):
    title = StringField("Title", [DataRequired(), Length(max=Note.title.type.length)], [stripped])
    body = TextAreaField("Text", [Length(max=10_000)], [stripped])
    tags = StringField("Tags", description="Separated by commas")

    def validate_tags(self, field: StringField) -> None:
        longest = Tag.name.type.length
        if any(len(word) > longest for word in words(field.data)):
            raise ValidationError(f"A tag has at most {longest} characters.")
