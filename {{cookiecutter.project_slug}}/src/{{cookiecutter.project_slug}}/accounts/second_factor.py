"""Codes of the second factor that are good only once, also for two who come at the same moment."""

from __future__ import annotations

from typing import Any

import flask_security
from flask_security import UserMixin
from passlib.totp import TotpMatch

from ..database import db


class Totp(flask_security.Totp):
    """The codes of an authenticator app: https://www.rfc-editor.org/rfc/rfc6238."""

    def get_last_counter(self, user: Any) -> int | None:  # noqa: ANN401
        _lock(user)
        counter: int | None = user.totp_counter
        return counter

    def set_last_counter(self, user: Any, tmatch: TotpMatch) -> None:  # noqa: ANN401
        user.totp_counter = tmatch.counter


class RecoveryCodes(flask_security.MfRecoveryCodesUtil):
    """The codes for who has lost the app."""

    def check_recovery_code(self, user: UserMixin, code: str) -> bool:
        _lock(user)
        return super().check_recovery_code(user, code)


def _lock(account: UserMixin) -> None:
    """Wait for another request with this account, and see what it has changed."""
    db.session.refresh(account, ["totp_counter", "mf_recovery_codes"], with_for_update=True)
