"""Limits on attempts to log in, and on messages that are sent to others."""

import hashlib
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import cast

from flask import Blueprint, Flask, request, session
from flask_limiter import Limiter
from flask_security import current_user, uia_email_mapper

# https://flask-limiter.readthedocs.io/en/stable/#rate-limit-string-notation
PER_NETWORK = "20 per minute; 200 per hour"
PER_ACCOUNT = "10 per minute; 50 per hour"

# They send a message to the address in the form.
MESSAGES = {
    "security.forgot_password",
    "security.register",
    "security.send_confirmation",
}
# They are for the account of the address in the form.
BY_ADDRESS = MESSAGES | {"security.login"}
# They check a password. Guesses must not keep the owner from asking for a new one.
PASSWORDS = {
    "security.change_email",
    "security.change_password",
    "security.login",
    "security.reset_password",
    "security.verify",
    "security.wan_signin_response",
    "security.wan_verify_response",
}
# They check a code, which is asked for after the password: guesses of that don't count here.
CODES = {
    "security.mf_recovery",
    "security.two_factor_rescue",
    "security.two_factor_setup_validate",
    "security.two_factor_token_validation",
}


def init_app(app: Flask) -> None:
    """Limit the pages of Flask-Security: https://flask-limiter.readthedocs.io/en/stable/recipes.html."""
    limiter = Limiter(get_network, app=app)
    blueprint = cast(Blueprint, app.blueprints["security"])

    def limit(scope: str, times: str, endpoints: set[str], key: Callable[[], str]) -> None:
        limiter.shared_limit(
            times,
            scope,
            key_func=key,
            methods=["POST"],
            error_message="Too many attempts. Try again later.",
            exempt_when=lambda: request.endpoint not in endpoints,
        )(blueprint)

    limit("network", PER_NETWORK, MESSAGES | PASSWORDS | CODES, get_network)
    limit("message", PER_ACCOUNT, MESSAGES, get_account)
    limit("account", PER_ACCOUNT, PASSWORDS, get_account)
    limit("code", PER_ACCOUNT, CODES, get_account)


def get_network() -> str:
    """Return the address of the client, without its port; of IPv6, the network of a customer."""
    text = (request.remote_addr or "")[:64]
    host = text.partition(":")[0] if text.count(":") == 1 else text.partition("]")[0].lstrip("[")
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{int(address) >> 64:x}/64")
    return str(address)


def get_account() -> str:
    """Return a hash of the account that a request is for, whether it exists or not."""
    if request.endpoint in BY_ADDRESS:
        email: str | None = uia_email_mapper(request.form.get("email", ""))
    elif current_user.is_authenticated:
        email = current_user.email
    else:
        email = session.get("tf_user_id")
    return hashlib.sha256(email.encode()).hexdigest() if email else get_network()
