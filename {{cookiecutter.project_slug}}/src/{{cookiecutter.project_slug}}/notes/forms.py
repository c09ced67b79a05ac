"""What a visitor may type to make a note."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import StringField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from .models import Note, Tag


def words(text: str | None) -> list[str]:
    """Split at commas: each tag once, without the spaces around it."""
    return list(dict.fromkeys(word for part in (text or "").split(",") if (word := part.strip())))


class NoteForm(FlaskForm):
    title = StringField("Title", [InputRequired(), Length(max=Note.title.type.length)])
    body = TextAreaField("Text", [Length(max=10_000)])
    tags = StringField("Tags", description="Separated by commas")

    def validate_tags(self, field: StringField) -> None:
        longest = Tag.name.type.length
        if any(len(word) > longest for word in words(field.data)):
            raise ValidationError(f"A tag has at most {longest} characters.")
