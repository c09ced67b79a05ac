"""The first page that a visitor sees; in development, it shows what runs."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template

from .database import db, revisions, server

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    if not current_app.debug:
        return render_template("home.html")
    return render_template(
        "home.html",
        database=f"{db.engine.dialect.name}, {server.place(db.engine.url)}",
        revision=", ".join(revisions.current()),
    )
