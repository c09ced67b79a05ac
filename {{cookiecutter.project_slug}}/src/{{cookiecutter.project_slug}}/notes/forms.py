"""What a visitor may type to write a note."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from .models import BODY_LENGTH, MOST_TAGS, Note, Tag
from .queries import clean


def lines(text: str | None) -> str:
    return clean(text, lines=True)


def words(text: str | None) -> list[str]:
    """Split at commas: each tag once, without the spaces around it."""
    parts = (text or "").split(",")
    return list(dict.fromkeys(word for part in parts if (word := part.strip())))


class NoteForm(FlaskForm):
    title = StringField("Title", [DataRequired(), Length(max=Note.title.type.length)], [clean])
    body = TextAreaField("Text", [Length(max=BODY_LENGTH)], [lines])
    tags = StringField("Tags", filters=[clean], description="Separated by commas")
    version = HiddenField()  # that the visitor has seen

    def validate_tags(self, field: StringField) -> None:
        names, longest = words(field.data), Tag.name.type.length
        if any(len(name) > longest for name in names):
            raise ValidationError(f"A tag has at most {longest} characters.")
        if len(names) > MOST_TAGS:
            raise ValidationError(f"A note has at most {MOST_TAGS} tags.")

    def values(self) -> dict[str, Any]:
        """What `queries.save` takes."""
        tags = words(self.tags.data)
        return {"title": self.title.data, "body": self.body.data, "tags": tags}
