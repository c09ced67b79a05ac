"""What happens to accounts: it is logged, and their owners are told what somebody else may have done."""

import logging
from typing import Any

import flask_security
from flask import Flask
from flask_security import UserMixin, send_mail

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
# Flask-Security tells them of a new password itself.
TOLD = {
    flask_security.tf_profile_changed: "The second factor was set up or changed.",
    flask_security.tf_disabled: "The second factor was turned off.",
    flask_security.wan_registered: "A passkey was added.",
    flask_security.wan_deleted: "A passkey was removed.",
}


def init_app(app: Flask) -> None:
    """Log what happens, and tell the owners."""
    for signal, text in LOGGED.items():
        signal.connect(_make_receiver(record, text), app, weak=False)
    for signal, text in TOLD.items():
        signal.connect(_make_receiver(notify, text), app, weak=False)


def record(user: UserMixin | None, text: str) -> None:
    """Log an event of an account, if there is one."""
    log.info("%s: account %s", text, user.id if user else None)


def notify(user: UserMixin, text: str, address: str = "") -> None:
    """Log an event, and tell the owner of the account, at an address that is not theirs any longer."""
    record(user, text)
    template = "security/email/notice"
    send_mail("Your account was changed", address or user.email, template, user=user, text=text)


def _make_receiver(function: Any, text: str) -> Any:  # noqa: ANN401
    def receive(app: Flask, user: UserMixin | None = None, **options: object) -> None:
        function(user, text)

    return receive
