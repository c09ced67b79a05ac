"""What somebody may type to make a token."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from ..notes.queries import clean_text
from .tokens import Token


class TokenForm(FlaskForm):
    name = StringField(
        "What is it for?", [DataRequired(), Length(max=Token.name.type.length)], [clean_text]
    )
