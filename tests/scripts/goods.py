"""Operations of an API that the notes have no example of: lists, forms, files, headers."""

from typing import Any

from flask_smorest.fields import Upload
from marshmallow import EXCLUDE, Schema, fields, validate

from .api import NOT_BLANK, Blueprint, text_field

blueprint = Blueprint("api_goods", __name__, url_prefix="/api/goods")


class GoodSchema(Schema):
    id = fields.Integer(dump_only=True)
    name = text_field(NOT_BLANK, 50, "One line.", required=True)
    size = fields.String(validate=validate.OneOf(["s", "m"]))
    sold_on = fields.Date()


class QuerySchema(Schema):
    ids = fields.List(fields.Integer(validate=validate.Range(1, 1000)), data_key="id")
    exact = fields.Boolean()


class HeaderSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    key = fields.String(data_key="X-Key", required=True, validate=validate.Length(1, 20))


class FormSchema(Schema):
    name = text_field(NOT_BLANK, 50, "One line.", required=True)


class FileSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    file = Upload(required=True)


@blueprint.get("")
@blueprint.arguments(QuerySchema, location="query")
@blueprint.response(200, GoodSchema(many=True))
def index(query: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": number, "name": "lamp"} for number in query.get("ids", [])]


@blueprint.post("")
@blueprint.arguments(GoodSchema(many=True))
@blueprint.response(201, GoodSchema(many=True))
def create(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return values


@blueprint.get("/secret")
@blueprint.arguments(HeaderSchema, location="headers")
@blueprint.response(200, GoodSchema)
def secret(headers: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "name": "lamp"}


@blueprint.post("/form")
@blueprint.arguments(FormSchema, location="form")
@blueprint.response(201, GoodSchema)
def form(values: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "name": values["name"]}


@blueprint.post("/file")
@blueprint.arguments(FileSchema, location="files")
@blueprint.response(201, GoodSchema)
def upload(files: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1 + len(files["file"].read(999)), "name": "lamp"}
