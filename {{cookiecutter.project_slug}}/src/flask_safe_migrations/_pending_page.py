"""Shows, in development, a page that lists the pending migrations and has the button that runs them."""

import hmac
from collections.abc import Iterable, Sequence
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from alembic.util import CommandError
from flask import Blueprint, Flask, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import ServiceUnavailable

from ._differences import find_problem
from ._prepare import prepare
from ._revisions import pending_revisions
from ._server import DatabaseUnavailable, check_database, get_reason
from ._state import get_state

FOLDERS: dict[str, Any] = {"template_folder": "templates", "static_folder": "static"}
blueprint = Blueprint("safe_migrations", __name__, url_prefix="/pending-migrations", **FOLDERS)
# What is served all the same: this page, files, and health checks under their usual addresses.
ENDPOINTS_SERVED = ("safe_migrations.", "static")
PATHS_SERVED = ("/healthz", "/livez", "/readyz")


@blueprint.before_app_request
def show_page() -> ResponseReturnValue | None:
    if (request.endpoint or "").startswith(ENDPOINTS_SERVED) or request.path in PATHS_SERVED:
        return None
    try:
        pending = pending_revisions()
    except DBAPIError:
        try:
            check_database(get_state().url)
        except DatabaseUnavailable as error:
            return _answer(str(error))
        return _answer("The database's revision can't be read. To see why, run: flask db current")
    except CommandError as error:
        return _answer(str(error), has_button=False)
    return _answer(pending=pending) if pending else None


@blueprint.post("/")
def upgrade() -> ResponseReturnValue:
    """Run `flask db prepare`, and go back to the application."""
    token = request.form.get("token", "").encode()
    if not hmac.compare_digest(token, get_state().form_token.encode()):
        abort(400, "The form has expired or is from another site. Reload the page and retry.")
    try:
        prepare()
    except (DatabaseUnavailable, CommandError) as error:
        return _answer(problem=str(error))
    return redirect(f"{request.script_root}/")


class DifferenceMiddleware:
    """Explain a query that fails because the models and the database differ."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.wsgi_app = app.wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self.wsgi_app(environ, start_response)
        except DBAPIError as error:
            with self.app.request_context(environ):
                if not (problem := find_problem()):
                    raise
                problem = f"{get_reason(error)}. {problem}"
                self.app.logger.error(problem)
                try:
                    answer = _answer(problem, has_button=False)
                except ServiceUnavailable as refusal:
                    answer = self.app.handle_user_exception(refusal)
                return self.app.make_response(answer)(environ, start_response)


def _answer(
    problem: str = "", pending: Sequence[str] = (), *, has_button: bool = True
) -> ResponseReturnValue:
    accepted = request.accept_mimetypes
    if accepted["text/html"] <= accepted["application/json"]:  # a browser prefers pages
        reason = f"Migrations are pending: {', '.join(pending)}. Run: flask db prepare"
        raise ServiceUnavailable(problem or reason)
    it = {"problem": problem, "pending": pending, "has_button": has_button, "state": get_state()}
    return render_template("flask_safe_migrations/pending.html", **it), 503
