"""Limits on attempts to log in, and on messages that are sent to others."""

from typing import Any, cast

from flask import Blueprint, Flask, request, session
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_security import current_user, uia_email_mapper

# https://flask-limiter.readthedocs.io/en/stable/#rate-limit-string-notation
PER_ADDRESS = "20 per minute; 200 per hour"  # of the network
PER_ACCOUNT = "10 per minute; 50 per hour"

LIMITED_ENDPOINTS = {
    # They check a password or a code.
    "security.change_password",
    "security.login",
    "security.mf_recovery",
    "security.reset_password",
    "security.two_factor_setup_validate",
    "security.two_factor_token_validation",
    "security.verify",
    "security.wan_signin_response",
    "security.wan_verify_response",
    # They send a message.
    "security.change_email",
    "security.forgot_password",
    "security.register",
    "security.send_confirmation",
    "security.two_factor_rescue",
}


def init_app(app: Flask) -> None:
    """Limit the pages of Flask-Security: https://flask-limiter.readthedocs.io/en/stable/recipes.html."""
    limiter = Limiter(get_remote_address, app=app)
    options: dict[str, Any] = {
        "methods": ["POST"],
        "error_message": "Too many attempts. Try again later.",
        "exempt_when": lambda: request.endpoint not in LIMITED_ENDPOINTS,
    }
    blueprint = cast(Blueprint, app.blueprints["security"])
    limiter.shared_limit(PER_ADDRESS, "network", **options)(blueprint)
    limiter.shared_limit(PER_ACCOUNT, "account", key_func=_rate_limit_key, **options)(blueprint)


def _rate_limit_key() -> str:
    """Return the account that a request is for, whether it exists or not."""
    if email := request.form.get("email"):
        return uia_email_mapper(email) or email
    if current_user.is_authenticated:
        return f"account {current_user.id}"
    return session.get("tf_user_id") or get_remote_address()
