"""Notes for programs: the routes of the JSON API, and what goes in and out of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Response, abort, jsonify, request, url_for
from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, missing, post_load, validate
from sqlalchemy.orm.exc import StaleDataError
{% if cookiecutter.accounts == "yes" %}
from ..accounts import tokens
{%- endif %}
from ..api import Blueprint
from ..database import db
from . import queries
from .models import BODY_LENGTH, LARGEST_ID, MOST_TAGS, Note, Tag
from .queries import clean, delete, find, write

# What `queries.clean` takes, as the description has it. A title or a
# tag is more than spaces; a tag has no commas, which separate tags in forms.
# `\s` has \x85 in Python only, \ufeff in JavaScript only: both are named.
LINE = r"^[^\x00-\x1f\x7f]*$"
LINES = r"^([^\x00-\x08\x0b-\x1f\x7f]|\r\n)*$"
TITLE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f\x85\ufeff][^\x00-\x1f\x7f]*$"
TAG = r"^[^\x00-\x1f\x7f,]*[^\s\x00-\x1f\x7f\x85\ufeff,][^\x00-\x1f\x7f,]*$"

ONE_LINE = "Send one line without control characters."
CHANGED = "The note has been changed since you read it. Read it again, then decide."
ETAG = {"description": "Names this version of the note.", "required": True}
ETAG_HEADER = {"ETag": ETAG | {"schema": {"type": "string"}}}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the note as you read it, so that nobody's change is lost.",
    "schema": {"type": "string"},
    "example": '"0123abcd"',
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the note as you have it: it is sent again only if it has changed.",
    "schema": {"type": "string"},
}
NOTE_ID = {"note_id": "$response.body#/id"}
NOTE_VERSION = NOTE_ID | {"If-Match": "$response.header.ETag"}
LINKS = {
    "read": {"operationId": "getNote", "parameters": NOTE_ID},
    "replace": {"operationId": "replaceNote", "parameters": NOTE_VERSION},
    "delete": {"operationId": "deleteNote", "parameters": NOTE_VERSION},
}

Page = dict[str, Any]

blueprint = Blueprint("api_notes", __name__, url_prefix="/api/notes", description="Notes with tags")
{%- if cookiecutter.accounts == "yes" %}
blueprint.before_request(tokens.require_token)
{%- endif %}


def text(
    pattern: str,
    longest: int,
    mistake: str,
    *,
    required: bool = False,
    load_default: object = missing,
    **metadata: object,
) -> fields.String:
    """A field for text of this pattern."""

    def check(value: str) -> None:
        if len(value) <= longest and not re.fullmatch(pattern, value):
            raise ValidationError(mistake)

    return fields.String(
        required=required,
        load_default=load_default,
        validate=[validate.Length(max=longest), check],
        metadata={"pattern": pattern, **metadata},
    )


class WholeNumber(fields.Integer):
    """A number of a query in plain digits: int() takes 1_0 and more."""

    def _deserialize(
        self, value: str, attr: str | None, data: Mapping[str, Any] | None, **options: object
    ) -> int:
        if not re.fullmatch("-?[0-9]{1,20}", value):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **options)


class NoteInputSchema(Schema):
    """What a program says of a note."""

    title = text(
        TITLE,
        Note.title.type.length,
        "Send at least one letter, on one line, without control characters.",
        required=True,
        description="On one line.",
        example="Milk",
    )
    body = text(
        LINES,
        BODY_LENGTH,
        "Send text without control characters.",
        load_default="",
        description="May have more than one line.",
        example="Two litres",
    )
    tags = fields.List(
        text(
            TAG,
            Tag.name.type.length,
            "Send at least one letter, without commas and control characters.",
        ),
        validate=validate.Length(max=MOST_TAGS),
        load_default=list,
        metadata={"description": "Words without commas.", "default": [], "example": ["shop"]},
    )

    @post_load
    def cleaned(self, note: dict[str, Any], **options: object) -> dict[str, Any]:
        return {
            "title": clean(note["title"]),
            "body": clean(note["body"], lines=True),
            "tags": [clean(tag) for tag in note["tags"]],
        }


class NoteSchema(Schema):
    """What a program is told of a note."""

    id = fields.Integer(required=True)
    title = fields.String(required=True)
    body = fields.String(required=True)
    tags = fields.List(fields.String(), attribute="tag_names", required=True)
    version = fields.Integer(required=True, metadata={"description": "Counts the changes."})
    created_at = fields.AwareDateTime(required=True)


NOTE = NoteSchema()


class NotesSchema(Schema):
    """A part of the notes."""

    items = fields.Nested(NoteSchema, many=True, required=True)
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The path of the notes after these.", "format": "uri-reference"},
    )


class NotesQuerySchema(Schema):
    """Which notes are asked for."""

    q = text(LINE, 200, ONE_LINE, description="A text in the title or the body.")
    tag = text(LINE, Tag.name.type.length, ONE_LINE, description="A tag of the notes.")
    before = WholeNumber(
        validate=validate.Range(1, LARGEST_ID),
        metadata={"description": "Only notes older than the one with this id."},
    )
    limit = WholeNumber(
        load_default=20,
        validate=validate.Range(1, 100),
        metadata={"description": "How many at most."},
    )


@blueprint.get("")
@blueprint.arguments(NotesQuerySchema(), location="query")
@blueprint.response(
    200,
    NotesSchema,
    headers={
        "Link": {"description": "The next part, if there is one.", "schema": {"type": "string"}}
    },
)
@blueprint.problems(422)
@blueprint.doc(operationId="listNotes")
def index(query: dict[str, Any]) -> Page | tuple[Page, dict[str, str]]:
    """List the notes, the newest first."""
    limit = query["limit"]
    notes = find(
        search=query.get("q", ""),
        tag=query.get("tag", ""),
        before=query.get("before"),
        limit=limit + 1,  # with it, there is a next part
    )
    if len(notes) <= limit:
        return {"items": notes, "next": None}
    path = url_for(".index", **query | {"before": notes[limit - 1].id})
    return {"items": notes[:limit], "next": path}, {"Link": f'<{path}>; rel="next"'}


@blueprint.post("")
@blueprint.arguments(NoteInputSchema())
@blueprint.response(
    201,
    NoteSchema,
    headers=ETAG_HEADER
    | {
        "Location": {
            "description": "The path of the note.",
            "required": True,
            "schema": {"type": "string", "format": "uri-reference"},
        }
    },
)
@blueprint.problems(400, 413, 415, 422)
@blueprint.doc(operationId="createNote", responses={201: {"links": LINKS}})
def create(values: dict[str, Any]) -> Response:
    """Write a note."""
    note = Note()
    response = _save(note, values)
    response.status_code = 201
    response.location = url_for(".note", note_id=note.id)
    return response


# One route for all methods: of several, Werkzeug answers 405, not 404, where the id is out of range.
@blueprint.route(f"/<int(min=1, max={LARGEST_ID}):note_id>", endpoint="note")
class NoteView(MethodView):
    """One of the notes."""

    @blueprint.response(200, NoteSchema, headers=ETAG_HEADER)
    @blueprint.alt_response(304, description="Not Modified", headers=ETAG_HEADER)
    @blueprint.problems(404)
    @blueprint.doc(
        operationId="getNote", parameters=[IF_NONE_MATCH], responses={200: {"links": LINKS}}
    )
    def get(self, note_id: int) -> Response:
        """Read a note."""
        response = _answer(_get(note_id))
        if request.if_none_match.contains_weak(_tag_of(response)):
            return Response(status=304, headers={"ETag": response.headers["ETag"]})
        return response

    @blueprint.arguments(NoteInputSchema())
    @blueprint.response(200, NoteSchema, headers=ETAG_HEADER)
    @blueprint.problems(400, 404, 412, 413, 415, 422, 428)
    @blueprint.doc(
        operationId="replaceNote", parameters=[IF_MATCH], responses={200: {"links": LINKS}}
    )
    def put(self, values: dict[str, Any], note_id: int) -> Response:
        """Replace a note: what is left out becomes empty."""
        note = _get_to_change(note_id)
        try:
            return _save(note, values)
        except StaleDataError:
            abort(412, CHANGED)

    @blueprint.response(204)
    @blueprint.problems(404, 412, 428)
    @blueprint.doc(operationId="deleteNote", parameters=[IF_MATCH])
    def delete(self, note_id: int) -> Response:
        """Delete a note."""
        note = _get_to_change(note_id)
        try:
            delete(note)
        except StaleDataError:
            abort(412, CHANGED)
        return Response(status=204)


def _get(note_id: int) -> Note:
    return queries.get(note_id)


def _get_to_change(note_id: int) -> Note:
    """The note, if its latest version is the one that the client has read."""
    if not request.if_match:
        abort(428, "Send the ETag of the note, as you read it, in the header If-Match.")
    note = _get(note_id)
    if _tag_of(_answer(note)) not in request.if_match:
        abort(412, CHANGED)
    return note


def _save(note: Note, values: dict[str, Any]) -> Response:
    write(note, **values)
    response = _answer(note)  # after the commit, somebody may have changed or deleted it
    db.session.commit()
    return response


def _answer(note: Note) -> Response:
    """The note, with a hash of all this as its ETag.

    The version alone would not do: SQLite gives a new note the id of one that was deleted.
    """
    response = jsonify(NOTE.dump(note))
    response.add_etag()
    return response


def _tag_of(response: Response) -> str:
    return response.get_etag()[0] or ""
