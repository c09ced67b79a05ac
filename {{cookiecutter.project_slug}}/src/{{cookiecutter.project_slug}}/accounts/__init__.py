"""Accounts: people register, log in and manage their account, by Flask-Security."""

from flask import Blueprint, Flask, Response, abort, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_security import Security, auth_required, change_email_confirmed, current_user, send_mail
from sqlalchemy.exc import IntegrityError

from ..database import db
from ..security import CONTENT_POLICY
from . import pages, rate_limits, sessions
from .datastore import Datastore, PasswordUtil
from .mail import MailUtil
from .models import Account, Passkey, Role
from .second_factors import PasskeyUtil, RecoveryCodesUtil, Totp
from .settings import MAX_PASSWORD_LENGTH, get_settings


def init_app(app: Flask) -> None:
    """Add the accounts to the application."""
    app.config.from_mapping(get_settings(app.config))
    if not (app.config["MAIL_URL"] or app.debug or app.testing):
        app.logger.warning("MAIL_URL is not set: nobody can register or reset a password")
    app.register_blueprint(pages.blueprint)  # first, so that its templates replace Flask-Security's
    security = Security(
        app,
        Datastore(db, Account, Role, Passkey),
        mail_util_cls=MailUtil,
        password_util_cls=PasswordUtil,
        totp_cls=Totp,
        mf_recovery_codes_util_cls=RecoveryCodesUtil,
        webauthn_util_cls=PasskeyUtil,
    )
    security.principal.skip_static = True  # static files need no query
    sessions.init_app(app, security.login_manager)
    change_email_confirmed.connect(_notify_old_address, app)
    app.before_request(_check_form)
    rate_limits.init_app(app)
    app.register_error_handler(IntegrityError, _retry_request)
    app.after_request(_add_headers)


def require_login(app: Flask, blueprint: Blueprint) -> None:
    """Send visitors of the blueprint to the log-in page, and set `g.account_id` for others."""

    @auth_required("session")
    def check_login() -> None:
        g.account_id = current_user.id

    @app.before_request
    def protect() -> ResponseReturnValue | None:
        return check_login() if blueprint.name in request.blueprints else None


def _notify_old_address(app: Flask, user: Account, old_email: str, **extra: object) -> None:
    """Tell the old address about the new one, in case somebody else has changed it."""
    send_mail("Your address was changed", old_email, "security/email/address_changed", user=user)


def _check_form() -> None:
    """Refuse JSON, and passwords that are too long to hash, on the pages of Flask-Security."""
    if request.blueprint != "security":
        return
    g.writes = True  # even on GET: the links in messages confirm addresses. See database.py.
    if request.is_json:
        abort(415, "Send a form. Programs use the API, with a token.")
    for name, value in request.form.items(multi=True):
        if "password" in name and len(value) > MAX_PASSWORD_LENGTH:
            abort(413, f"A password has at most {MAX_PASSWORD_LENGTH} characters.")


def _retry_request(error: IntegrityError) -> ResponseReturnValue:
    """Run a view of Flask-Security again, which then finds that the address is taken.

    Raises:
        sqlalchemy.exc.IntegrityError: The error is not from Flask-Security.
    """
    if request.blueprint != "security":
        raise error
    db.session.rollback()
    view = current_app.view_functions[str(request.endpoint)]
    response: ResponseReturnValue = current_app.ensure_sync(view)(**(request.view_args or {}))
    return response


def _add_headers(response: Response) -> Response:
    """Keep personal pages out of shared caches, and allow the QR code for authenticator apps."""
    if "account_id" in g or "session_key" in g:
        response.cache_control.private = True
    if request.blueprint == "security":
        response.headers["Content-Security-Policy"] = f"{CONTENT_POLICY}; img-src 'self' data:"
    return response
