"""The JSON API of the notes."""

from typing import Any

from flask import request, url_for
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ..api import MULTILINE, NOT_BLANK, ONE_LINE, Blueprint, text_field
from ..database import MAX_INTEGER
from . import queries
from .models import MAX_BODY_LENGTH, MAX_TAG_LENGTH, MAX_TAGS, MAX_TITLE_LENGTH, Note

# NOT_BLANK without commas, which separate tags in forms.
TAG = r"^[^\x00-\x1f\x7f,]*[^\s\x00-\x1f\x7f\x85\ufeff,][^\x00-\x1f\x7f,]*$"

blueprint = Blueprint("api_notes", __name__, url_prefix="/api/notes", description="Notes")


class NoteSchema(Schema):
    """A note."""

    id = fields.Integer(dump_only=True, required=True)
    title = text_field(NOT_BLANK, MAX_TITLE_LENGTH, "One line, not blank.", required=True)
    body = text_field(MULTILINE, MAX_BODY_LENGTH, "May have more than one line.", load_default="")
    tags = fields.List(
        text_field(TAG, MAX_TAG_LENGTH, "One line, not blank, without commas."),
        attribute="tag_names",  # of a Note, and the argument of save_note
        validate=validate.Length(max=MAX_TAGS),
        load_default=list,
    )
    version = fields.Integer(dump_only=True, required=True)
    created_at = fields.AwareDateTime(dump_only=True, required=True)


class NotesSchema(Schema):
    """A part of the list of notes, and the path of the next part."""

    items = fields.Nested(NoteSchema, many=True, required=True)
    next = fields.String(required=True, allow_none=True)


class NotesQuerySchema(Schema):
    search = text_field(ONE_LINE, 200, "Text in the title or the body.", data_key="q")
    tag = text_field(ONE_LINE, MAX_TAG_LENGTH, "Only notes with this tag.")
    before = fields.Integer(validate=validate.Range(1, MAX_INTEGER))  # only lower ids
    limit = fields.Integer(validate=validate.Range(1, 100), load_default=20)


@blueprint.get("")
@blueprint.arguments(NotesQuerySchema, location="query")
@blueprint.response(200, NotesSchema, headers={"Link": {"schema": {"type": "string"}}})
def index(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List the notes, the newest first."""
    limit = query["limit"]
    notes = queries.list_notes(**(query | {"limit": limit + 1}))
    if len(notes) <= limit:
        return {"items": notes, "next": None}, {}
    path = url_for(".index", **request.args.to_dict() | {"before": notes[limit - 1].id})
    return {"items": notes[:limit], "next": path}, {"Link": f'<{path}>; rel="next"'}


@blueprint.post("")
@blueprint.etag
@blueprint.arguments(NoteSchema)
@blueprint.response(201, NoteSchema, headers={"Location": {"schema": {"type": "string"}}})
def create(values: dict[str, Any]) -> tuple[Note, dict[str, str]]:
    """Create a note."""
    queries.save_note(note := Note(), **values)
    return note, {"Location": url_for(".note", note_id=note.id)}


# One view for all methods: with a route for each, an id out of range would give 405, not 404.
@blueprint.route(f"/<int(min=1, max={MAX_INTEGER}):note_id>", endpoint="note")
@blueprint.etag
class NoteView(MethodView):
    @blueprint.response(200, NoteSchema)
    @blueprint.alt_response(304, "NOT_MODIFIED")  # see METHODS_CHECKING_NOT_MODIFIED in api.py
    @blueprint.doc(parameters=["IF_NONE_MATCH"])
    def get(self, note_id: int) -> Note:
        """Read a note."""
        return queries.get_note_or_404(note_id)

    @blueprint.arguments(NoteSchema)
    @blueprint.response(200, NoteSchema)
    def put(self, values: dict[str, Any], note_id: int) -> Note:
        """Replace a note. Optional fields that are left out become empty."""
        note = queries.get_note_or_404(note_id)
        blueprint.check_etag(note, NoteSchema)
        queries.save_note(note, **values)
        return note

    @blueprint.response(204)
    def delete(self, note_id: int) -> None:
        """Delete a note."""
        note = queries.get_note_or_404(note_id)
        blueprint.check_etag(note, NoteSchema)
        queries.delete_note(note)
