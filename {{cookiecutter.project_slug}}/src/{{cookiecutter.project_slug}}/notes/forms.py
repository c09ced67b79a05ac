"""The form for a note."""

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from ..text import clean_lines, clean_text
from .models import MAX_BODY_LENGTH, MAX_TAG_LENGTH, MAX_TAGS, MAX_TITLE_LENGTH


def split_tags(text: str | None) -> list[str]:
    """Split at commas, and drop empty and repeated tags."""
    return list(dict.fromkeys(tag for part in (text or "").split(",") if (tag := part.strip())))


class NoteForm(FlaskForm):
    title = StringField("Title", [DataRequired(), Length(max=MAX_TITLE_LENGTH)], [clean_text])
    body = TextAreaField("Text", [Length(max=MAX_BODY_LENGTH)], [clean_lines])
    tags = StringField("Tags", filters=[clean_text], description="Separated by commas")
    version = HiddenField()  # of the note when the form was opened

    def validate_tags(self, field: StringField) -> None:
        names = split_tags(field.data)
        if any(len(name) > MAX_TAG_LENGTH for name in names):
            raise ValidationError(f"A tag can have at most {MAX_TAG_LENGTH} characters.")
        if len(names) > MAX_TAGS:
            raise ValidationError(f"A note can have at most {MAX_TAGS} tags.")
