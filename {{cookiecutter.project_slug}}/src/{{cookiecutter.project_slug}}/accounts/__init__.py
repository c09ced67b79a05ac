"""Accounts: people register, log in and manage their account, by Flask-Security."""

import logging
import secrets
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_security import (
    Security,
    auth_required,
    change_email_confirmed,
    current_user,
    hash_password,
    password_reset,
    reset_password_instructions_sent,
    user_confirmed,
    user_registered,
)
from flask_security.recoverable import generate_reset_link
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from ..database import db
from ..errors import handle_database_error
from . import events, pages, rate_limits, sessions
from .datastore import Datastore, PasswordUtil, release_transaction
from .mail import MailUtil
from .models import Account, Passkey, Role
from .second_factors import (
    PasskeyRegisterForm,
    PasskeySigninForm,
    PasskeyUtil,
    RecoveryCodesUtil,
    Totp,
)
from .settings import FRESHNESS, MAX_PASSWORD_LENGTH, get_settings

log = logging.getLogger(__name__)
# They send a message if there is an account, which takes longer; hashing hides it.
TAKE_TIME = ("security.change_email", "security.send_confirmation")
# The links in messages that work once.
ONE_TIME_LINKS = ("security.confirm_email", "security.change_email_confirm")
# They finish what another session may have begun, so Flask-Security's check at its start isn't enough.
NEED_FRESHNESS = (
    "security.two_factor_setup_validate",
    "security.two_factor_token_validation",
    "security.wan_register_response",
)


def init_app(app: Flask) -> None:
    """Add the accounts to the application."""
    app.config.from_mapping(get_settings(app.config))
    if not (app.config["MAIL_URL"] or app.debug or app.testing):
        app.logger.warning("MAIL_URL is not set: nobody can register or reset a password")
    app.register_blueprint(pages.blueprint)  # first, so that its templates replace Flask-Security's
    app.before_request(sessions.refuse_malformed_cookie)  # before Security loads the account
    security = Security(
        app,
        Datastore(db, Account, Role, Passkey),
        mail_util_cls=MailUtil,
        password_util_cls=PasswordUtil,
        totp_cls=Totp,
        mf_recovery_codes_util_cls=RecoveryCodesUtil,
        webauthn_util_cls=PasskeyUtil,
        wan_register_response_form=PasskeyRegisterForm,
        wan_signin_response_form=PasskeySigninForm,
    )
    security.principal.skip_static = True  # static files need no query
    security.want_json(lambda request: False)  # it says more than the pages
    sessions.init_app(app, security.login_manager)
    events.init_app(app)
    password_reset.connect(_delete_passkeys, app)
    user_registered.connect(_remember_registration, app)
    user_confirmed.connect(_check_registration, app)
    change_email_confirmed.connect(_finish_new_address, app)
    reset_password_instructions_sent.connect(_take_time, app)
    app.before_request(_check_form)
    rate_limits.init_app(app)
    app.before_request(_hide_time)  # after the limits: hashing is slow
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


def _delete_passkeys(app: Flask, user: Account, **extra: object) -> None:
    """Delete the passkeys that replace a password that was reset: somebody else may have added them."""
    passkeys = delete(Passkey).where(Passkey.account_id == user.id, Passkey.usage == "first")
    db.session.execute(passkeys)


def _remember_registration(app: Flask, user: Account, **extra: object) -> None:
    session["registered"] = user.fs_uniquifier


def _check_registration(app: Flask, user: Account, **extra: object) -> None:
    """Remove a password that another browser has chosen.

    Somebody else may have registered the address, and would know the password of its owner.
    """
    if session.pop("registered", None) != user.fs_uniquifier:
        user.password, g.needs_password = None, user


def _finish_new_address(app: Flask, user: Account, old_email: str, **extra: object) -> None:
    """End the links and sessions of the old address, and tell it about the new one."""
    if user != current_user:
        abort(403, "This link is for another account. Log in to that one, and open it again.")
    current_app.extensions["security"].datastore.set_uniquifier(user)
    sessions.keep_current(user)
    events.notify(user, f"The email address of your account is now {user.email}.", old_email)


def _take_time(app: Flask | None = None, **extra: object) -> None:
    """Take as long as Flask-Security does for an address without an account."""
    release_transaction()
    hash_password("not a password")


def _hide_time() -> None:
    """Take as long for an address without an account as for one to which a message is sent."""
    is_sent = request.method == "POST" and request.endpoint in TAKE_TIME
    if is_sent and (request.endpoint != "security.change_email" or current_user.is_authenticated):
        _take_time()


@auth_required("session")
def _require_session() -> None:
    """Send visitors to the log-in page."""


@auth_required("session", within=lambda: FRESHNESS)
def _require_fresh_session() -> None:
    """Ask for the password again, unless it was typed a short while ago."""


def _check_form() -> ResponseReturnValue | None:
    """Refuse what can't be read on the pages of accounts, and passwords too long to hash."""
    if request.blueprint not in ("accounts", "security", "tokens"):
        return None
    if any("\0" in value for value in request.values.values()):
        abort(400, "Remove the control characters.")
    if request.blueprint != "security":
        return None
    g.writes = True  # even on GET: the links in messages confirm addresses. See database.py.
    if request.method == "HEAD" and request.endpoint in ONE_TIME_LINKS:
        return Response()  # of a scanner of messages: the link is for its owner
    if request.is_json:
        abort(415, "This page accepts only forms. Programs can use the API, with a token.")
    for name, value in request.form.items(multi=True):
        if "password" in name and len(value) > MAX_PASSWORD_LENGTH:
            abort(413, f"A password can have at most {MAX_PASSWORD_LENGTH} characters.")
    try:
        urlsplit(request.values.get("next", ""))
    except ValueError as error:
        abort(400, f"The URL of the next page can't be read: {error}.")
    has_new_key = session.get("tf_state") == "validating_profile"
    is_for_code = request.endpoint == "security.two_factor_token_validation"
    if is_for_code and current_user.is_authenticated and not has_new_key:
        return redirect(url_for("security.two_factor_setup"))  # the view would log out
    if request.method == "POST":
        if request.endpoint == "security.register":  # whether there is an account already or not
            session["registered"] = secrets.token_hex(16)
        if request.endpoint in NEED_FRESHNESS and current_user.is_authenticated:
            response: ResponseReturnValue | None = _require_fresh_session()
            return response
    # The owner of the new address may be somebody else, who must not give it to this account.
    return _require_session() if request.endpoint == "security.change_email_confirm" else None


def _retry_request(error: IntegrityError) -> ResponseReturnValue:
    """Run a view of Flask-Security again, which then finds that the address is taken."""
    if request.blueprint != "security":
        return handle_database_error(error)
    db.session.rollback()
    view = current_app.view_functions[str(request.endpoint)]
    response: ResponseReturnValue = current_app.ensure_sync(view)(**(request.view_args or {}))
    return response


def _add_headers(response: Response) -> Response:
    """Keep personal pages out of caches."""
    if "account_id" in g or "session_key" in g:
        response.cache_control.private = response.cache_control.no_store = True
    if request.endpoint == "security.logout" and request.is_secure:
        response.headers["Clear-Site-Data"] = '"cache"'
    is_form = request.endpoint == "security.login" and request.method == "POST"
    if is_form and response.status_code == 200:  # the form is shown again
        log.warning("Failed to log in")
    if "needs_password" in g:
        flash("Now choose a password, even if you chose one when you registered.")
        response.location = generate_reset_link(g.needs_password)[0]  # type: ignore[no-untyped-call]
    return response
