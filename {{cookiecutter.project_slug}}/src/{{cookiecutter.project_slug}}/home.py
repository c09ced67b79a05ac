"""The first page. In development, it shows what runs."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask_safe_migrations import current_revisions, describe_database

from .database import db

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show the first page."""
    if not current_app.debug:
        return render_template("home.html")
    return render_template(
        "home.html",
        database=f"{db.engine.dialect.name}, {describe_database(db.engine.url)}",
        revision=", ".join(current_revisions()),
    )
