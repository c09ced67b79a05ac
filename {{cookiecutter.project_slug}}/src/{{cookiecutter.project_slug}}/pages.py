"""Shared by all HTML pages: CSRF protection, error pages and the home page."""

from flask import Blueprint, Flask, current_app, render_template
from flask_safe_migrations import current_revisions, describe_database
from flask_wtf import CSRFProtect
from werkzeug import Response
from werkzeug.exceptions import HTTPException, SecurityError

from .database import db

blueprint = Blueprint("home", __name__)


def init_app(app: Flask) -> None:
    """Enable CSRF protection, and register the home page."""
    CSRFProtect(app)
    app.register_blueprint(blueprint)


@blueprint.get("/")
def home() -> str:
    if not current_app.debug:
        return render_template("home.html")
    return render_template(
        "home.html",
        database=f"{db.engine.dialect.name}, {describe_database(db.engine.url)}",
        revision=", ".join(current_revisions()),
    )


def render_error(error: HTTPException) -> Response:
    """Return a page that says what is wrong."""
    response = error.get_response()
    if not isinstance(error, SecurityError):  # for an untrusted host, no page has links
        response.data = render_template("error.html", error=error)
    return response
