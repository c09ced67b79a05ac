"""Logs what happens to accounts, and notifies the owners of what somebody else may have done."""

import logging
from typing import Any

import flask_security
from flask import Flask
from flask_security import UserMixin, send_mail
from flask_security.recoverable import generate_reset_link

log = logging.getLogger(__name__)

# https://flask-security.readthedocs.io/en/stable/api.html#signals
LOGGED = {
    flask_security.user_authenticated: "Logged in",
    flask_security.user_failed_authn: "Failed to prove who it is",
    flask_security.user_unauthenticated: "Refused: not logged in",
    flask_security.user_registered: "Registered",
    flask_security.user_confirmed: "Confirmed the address",
    flask_security.password_changed: "Changed the password",
    flask_security.password_reset: "Reset the password",
    flask_security.reset_password_instructions_sent: "Asked for a link to reset the password",
    flask_security.change_email_confirmed: "Changed the address",
}
# Flask-Security sends a message about a new password itself.
NOTIFIED = {
    flask_security.tf_profile_changed: "Two-factor authentication was set up or changed.",
    flask_security.tf_disabled: "Two-factor authentication was turned off.",
    flask_security.wan_registered: "A passkey was added.",
    flask_security.wan_deleted: "A passkey was removed.",
}


def init_app(app: Flask) -> None:
    """Log what happens, and notify the owners."""
    for signal, text in LOGGED.items():
        signal.connect(_make_receiver(record, text), app, weak=False)
    for signal, text in NOTIFIED.items():
        signal.connect(_make_receiver(notify, text), app, weak=False)


def record(user: UserMixin | None, text: str) -> None:
    """Log an event of an account, if there is one."""
    log.info("%s: account %s", text, user.id if user else None)


def notify(user: UserMixin, text: str, old_address: str = "") -> None:
    """Log an event, and notify the owner of the account, or of its address before."""
    record(user, text)
    link = "" if old_address else generate_reset_link(user)[0]  # type: ignore[no-untyped-call]
    values = {"user": user, "text": text, "reset_link": link}
    address = old_address or user.email
    send_mail("Your account was changed", address, "security/email/notice", **values)


def _make_receiver(function: Any, text: str) -> Any:  # noqa: ANN401
    def receive(app: Flask, user: UserMixin | None = None, **options: object) -> None:
        function(user, text)

    return receive
