"""Accounts: registering, logging in and all that belongs to it, by Flask-Security.

Its settings: https://flask-security.readthedocs.io/en/stable/configuration.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from flask import Flask, Response, abort, current_app, g, has_request_context, request, session
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_security import (
    EmailValidateException,
    Security,
    SQLAlchemyUserDatastore,
    UserMixin,
    auth_required,
    change_email_confirmed,
    current_user,
    uia_email_mapper,
)
from flask_security.utils import send_mail
from sqlalchemy.exc import IntegrityError

from ..database import db
from ..security import CONTENT_POLICY
from . import factors, pages, passwords, sessions
from .mail import MailUtil
from .models import Account, Passkey, Role

View = Callable[..., Any]

# https://flask-limiter.readthedocs.io/en/stable/#rate-limit-string-notation
OF_ONE_ADDRESS = "20 per minute; 200 per hour"  # of the network
ON_ONE_ACCOUNT = "10 per minute; 50 per hour"
ROLES = ("administrator",)
NOT_LET_IN = (
    "This address and password don't go together, or the account is closed or has not been"
    " confirmed."
)
USED_UP = "This link has been used, or is too old, or not whole. Ask for a new one."
LONGEST_PASSWORD = 200  # characters
GUESSES = (
    "change_password",
    "login",
    "mf_recovery",
    "reset_password",
    "two_factor_setup_validate",
    "two_factor_token_validation",
    "verify",
    "wan_signin_response",
    "wan_verify_response",
)
MESSAGES = (
    "change_email",
    "forgot_password",
    "register",
    "send_confirmation",
    "two_factor_rescue",
)


class Datastore(SQLAlchemyUserDatastore):
    """Where Flask-Security finds and stores accounts."""

    def put(self, model: Any) -> Any:  # noqa: ANN401
        """Store at once: what the database refuses is then known before a message is sent."""
        super().put(model)  # type: ignore[no-untyped-call]
        db.session.flush()
        return model

    def create_user(self, **values: Any) -> UserMixin:  # noqa: ANN401
        """Whoever makes an account by `flask users create` has confirmed it, and may name roles."""
        if not has_request_context():
            values["confirmed_at"] = datetime.now(UTC)
            if isinstance(names := values.get("roles"), str):
                for name in names.split(","):
                    if name not in ROLES:
                        raise ValueError(f"There is no role {name}. There is {', '.join(ROLES)}.")
                values["roles"] = [self.find_or_create_role(name) for name in names.split(",")]
        return super().create_user(**values)


def init_app(app: Flask) -> None:
    """Add the accounts to the application."""
    secret = app.config["TOTP_SECRET"] or app.config["SECRET_KEY"]
    app.config.from_mapping(
        SECURITY_URL_PREFIX="/accounts",
        SECURITY_CONFIRMABLE=True,
        SECURITY_RECOVERABLE=True,
        SECURITY_CHANGEABLE=True,
        SECURITY_CHANGE_EMAIL=True,
        # Nobody learns from an answer, or from its time, who has an account.
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_HASHING_SCHEMES=["hex_sha256"],
        SECURITY_MSG_GENERIC_AUTHN_FAILED=(NOT_LET_IN, "error"),
        SECURITY_MSG_UNAUTHENTICATED=("Log in first.", "error"),
        SECURITY_MSG_API_ERROR=(USED_UP, "error"),
        SECURITY_MSG_INVALID_CONFIRMATION_TOKEN=(USED_UP, "error"),
        SECURITY_MSG_INVALID_RESET_PASSWORD_TOKEN=(USED_UP, "error"),
        # https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_PASSWORD_SINGLE_HASH=["argon2"],
        SECURITY_PASSWORD_LENGTH_MIN=12,
        SECURITY_USER_IDENTITY_ATTRIBUTES=[{"email": {"mapper": uia_email_mapper}}],
        SECURITY_DATETIME_FACTORY=lambda: datetime.now(UTC),
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_FRESHNESS=timedelta(minutes=pages.FRESH),
        SECURITY_FRESHNESS_GRACE_PERIOD=timedelta(0),
        SECURITY_POST_CHANGE_VIEW="accounts.index",
        SECURITY_POST_CHANGE_EMAIL_VIEW="accounts.index",
        SECURITY_EMAIL_SENDER=app.config["MAIL_FROM"],
        SECURITY_TWO_FACTOR_ENABLED_METHODS=["authenticator"],
        SECURITY_TWO_FACTOR_RESCUE_EMAIL=False,
        SECURITY_TWO_FACTOR_RESCUE_MAIL=app.config["MAIL_FROM"],
        SECURITY_TOTP_ISSUER=app.config["PROJECT_NAME"],
        SECURITY_TOTP_SECRETS={"1": secret},
        SECURITY_MULTI_FACTOR_RECOVERY_CODES=app.config["SECURITY_TWO_FACTOR"],
        SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS=[
            base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())
        ],
        SECURITY_WAN_ALLOW_USER_HINTS=False,
        SECURITY_WAN_RP_NAME=app.config["PROJECT_NAME"],
        SESSION_PROTECTION=None,  # a phone changes its address; a session can be ended
        REMEMBER_COOKIE_DURATION=sessions.LONGEST,
        REMEMBER_COOKIE_HTTPONLY=True,
        REMEMBER_COOKIE_SAMESITE=app.config["SESSION_COOKIE_SAMESITE"],
        REMEMBER_COOKIE_SECURE=app.config["SESSION_COOKIE_SECURE"],
        # While Redis is away, each process counts for itself.
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=True,
        RATELIMIT_SWALLOW_ERRORS=True,
        RATELIMIT_HEADERS_ENABLED=True,
    )
    if not (app.config["MAIL_URL"] or app.debug or app.testing):
        app.logger.warning("MAIL_URL is not set: nobody can register or replace a password")
    app.register_blueprint(pages.blueprint)  # before that of Flask-Security: its templates win
    security = Security(
        app,
        Datastore(db, Account, Role, Passkey),
        mail_util_cls=MailUtil,
        totp_cls=factors.Totp,
        mf_recovery_codes_util_cls=factors.RecoveryCodes,
        webauthn_util_cls=factors.Passkeys,
    )
    passwords.init_app(security)
    # Flask-Security's own tokens can't be revoked one by one.
    security.login_manager.request_loader(lambda request: None)
    security.principal.skip_static = True  # a picture needs no query
    sessions.init_app(app)
    _wrap(app, ["register", "change_email_confirm"], _again_if_taken)
    _limit_attempts(app)
    change_email_confirmed.connect(_tell_old_address, app)
    app.before_request(_refuse_odd)
    app.after_request(_keep_private)


@auth_required("session")
def require_login() -> None:
    """For `before_request` of a blueprint: whoever is not logged in is sent to do so."""
    g.account_id = current_user.id


def _wrap(app: Flask, names: Iterable[str], decorator: Callable[[View], View]) -> None:
    """Decorate views of Flask-Security, where they are there."""
    for name in (f"security.{name}" for name in names):
        if view := app.view_functions.get(name):
            app.view_functions[name] = decorator(view)


def _limit_attempts(app: Flask) -> None:
    """Count the attempts to guess, and the messages that somebody else may not want."""
    limiter = Limiter(get_remote_address, app=app)
    app.extensions["accounts_limiter"] = limiter  # its decorators don't keep it alive
    told = "Too many attempts. Try again in a while."
    options: dict[str, Any] = {"methods": ["POST"], "error_message": told}
    network = limiter.shared_limit(OF_ONE_ADDRESS, "network", **options)
    account = limiter.shared_limit(ON_ONE_ACCOUNT, "account", key_func=_whom, **options)
    _wrap(app, GUESSES + MESSAGES, lambda view: network(account(view)))


def _whom() -> str:
    """Whose account an attempt is about, whether there is one or not."""
    if email := request.form.get("email"):
        with suppress(EmailValidateException):
            email = MailUtil(current_app).validate(email)
        return email
    if current_user.is_authenticated:
        return f"account {current_user.id}"
    return session.get("tf_user_id") or get_remote_address()


def _again_if_taken(view: View) -> View:
    """Where somebody else has taken the address in this very moment, it is known the second time."""

    @wraps(view)
    def try_twice(**arguments: Any) -> Any:  # noqa: ANN401
        try:
            return view(**arguments)
        except IntegrityError:
            db.session.rollback()
            return view(**arguments)

    return try_twice


def _tell_old_address(app: Flask, user: Account, old_email: str, **others: object) -> None:
    """Whoever reads the messages to the old address learns that they go elsewhere now."""
    send_mail("Your address was changed", old_email, "security/email/address_changed", user=user)


def _refuse_odd() -> None:
    """Take nothing but forms, and no password that is too long to be hashed."""
    if request.blueprint != "security":
        return
    g.writes = True  # on GET, too: the links in messages confirm an address. See database.py.
    if request.is_json:
        abort(415, "This is for people; programs use the API, with a token.")
    for name, value in request.form.items(multi=True):
        if "password" in name and len(value) > LONGEST_PASSWORD:
            abort(413, f"A password has at most {LONGEST_PASSWORD} characters.")


def _keep_private(response: Response) -> Response:
    """What is for one person must not be given to another by a cache on the way."""
    if "account_id" in g or "session_key" in g:
        response.cache_control.private = True
    if request.blueprint == "security":  # the code to be scanned by an authenticator app
        response.headers["Content-Security-Policy"] = f"{CONTENT_POLICY}; img-src 'self' data:"
    return response
