"""The notes as one would write them by hand with Flask and Flask-SQLAlchemy, and no more.

`serving.py` measures the project beside it: same tables, queries, templates and JSON.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime

from flask import Blueprint, Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, DateTime, ForeignKey, String, Table, Text, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
home = Blueprint("home", __name__)
notes = Blueprint("notes", __name__, url_prefix="/notes")
api = Blueprint("api", __name__, url_prefix="/api")

note_tag = Table(
    "note_tag",
    Base.metadata,
    Column("note_id", ForeignKey("note.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    version: Mapped[int] = mapped_column(server_default="1")
    tags: Mapped[list[Tag]] = relationship(
        secondary=note_tag, back_populates="notes", order_by="Tag.name", lazy="selectin"
    )
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Tag(Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    notes: Mapped[list[Note]] = relationship(secondary=note_tag, back_populates="tags")


def create_app(*, migrations: bool = False) -> Flask:
    app = Flask(__name__)
    app.config["PROJECT_NAME"] = "My App"
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", set_up_sqlite)
    if migrations:
        from flask_migrate import Migrate

        Migrate(app, db)
    for blueprint in (home, notes, api):
        app.register_blueprint(blueprint)
    app.add_url_rule("/api/docs", "api-docs.openapi_rapidoc", lambda: "")
    return app


def set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """The project's settings, without its care for transactions."""
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


@home.get("/", endpoint="home")
@home.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}


@notes.get("/")
def index() -> str:
    found = newest(21)
    return render_template(
        "notes/index.html",
        notes=found[:20],
        has_older=len(found) > 20,
        is_first=True,
        search="",
        tag="",
    )


@notes.get("/new", endpoint="create")
@notes.get("/<int:note_id>", endpoint="show")
def unused(note_id: int) -> str:
    """The page has links here."""
    return ""


@api.get("/notes")
def list_notes() -> ResponseReturnValue:
    found = newest(21)
    following = f"/api/notes?limit=20&before={found[19].id}" if len(found) > 20 else None
    return jsonify(items=[as_json(note) for note in found[:20]], next=following)


@api.post("/notes")
def create_note() -> ResponseReturnValue:
    values = request.get_json()
    names = sorted(set(values["tags"]))
    known = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(names)))}
    note = Note(
        title=values["title"],
        body=values["body"],
        tags=[known.get(name) or Tag(name=name) for name in names],
    )
    db.session.add(note)
    db.session.commit()
    return jsonify(as_json(note)), 201


def newest(limit: int) -> list[Note]:
    return list(db.session.scalars(select(Note).order_by(Note.id.desc()).limit(limit)))


def as_json(note: Note) -> dict[str, object]:
    moment = note.created_at
    return {
        "id": note.id,
        "title": note.title,
        "body": note.body,
        "tags": sorted(tag.name for tag in note.tags),
        "version": note.version,
        # SQLite has no time zone.
        "created_at": (
            moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        ).isoformat(),
    }
