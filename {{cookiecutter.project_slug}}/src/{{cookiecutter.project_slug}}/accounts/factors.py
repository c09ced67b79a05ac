"""What proves who somebody is, beside the password: codes, each good only once, and passkeys."""

from __future__ import annotations

from typing import Any

import flask_security
from flask_security import UserMixin
from passlib.totp import TotpMatch
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

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


class Passkeys(flask_security.WebauthnUtil):
    """Which passkeys are taken: https://www.w3.org/TR/webauthn-3/#dictionary-authenticatorSelection."""

    def authenticator_selection(
        self, user: UserMixin, usage: str
    ) -> AuthenticatorSelectionCriteria:
        """In place of the password, one that knows the account and its owner; be it in this device."""
        if usage == "first":
            return AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            )
        return AuthenticatorSelectionCriteria(
            user_verification=UserVerificationRequirement.DISCOURAGED
        )

    def user_verification(
        self, user: UserMixin | None, usage: list[str]
    ) -> UserVerificationRequirement:
        if "secondary" in usage:
            return UserVerificationRequirement.DISCOURAGED
        return UserVerificationRequirement.REQUIRED


def _lock(account: UserMixin) -> None:
    """Wait for another request with this account, and see what it has changed."""
    db.session.refresh(account, ["totp_counter", "mf_recovery_codes"], with_for_update=True)
