"""What the HTML pages share (CSRF protection and error pages), and the home page."""

from flask import Blueprint, Flask, current_app, render_template, request
from flask_safe_migrations import current_revisions, describe_database, find_problem
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug import Response
from werkzeug.exceptions import BadHost, HTTPException, SecurityError

from .database import db

blueprint = Blueprint("home", __name__)


def init_app(app: Flask) -> None:
    """Enable CSRF protection, and register the home page."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a token lasts as long as its session
    app.config["WTF_CSRF_SSL_STRICT"] = False  # no Referer check: the token is enough
    if app.config["SESSION_COOKIE_SECURE"]:  # else browsers refuse the __Host- prefix
        app.config["SESSION_COOKIE_NAME"] = "__Host-session"
    CSRFProtect(app)
    app.register_blueprint(blueprint)


@blueprint.get("/")
def home() -> str:
    if not current_app.debug:
        return render_template("home.html")
    database = f"{db.engine.dialect.name}, {describe_database(db.engine.url)}"
    status = {"revisions": current_revisions(), "problem": find_problem()}
    return render_template("home.html", app=current_app, database=database, **status)


def render_error_page(error: HTTPException) -> Response:
    """Return a page that says what is wrong."""
    needs_https = current_app.config["SESSION_COOKIE_SECURE"] and not request.is_secure
    if isinstance(error, CSRFError) and needs_https:
        error.description = f"{error.description} Browsers send the session cookie only over https."
    response = error.get_response()
    if not any(isinstance(e, SecurityError | BadHost) for e in (error, request.routing_exception)):
        response.data = render_template("error.html", error=error)  # its links need a valid host
    return response
