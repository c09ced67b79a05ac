"""What people use besides the password: authenticator apps, recovery codes and passkeys."""

from collections.abc import Callable
from typing import Any

import flask_security
from flask import session
from flask_security import UserMixin, WebAuthnRegisterResponseForm, WebAuthnSigninResponseForm
from passlib.totp import TOTP, AppWallet
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ..database import db
from .events import notify

INVALID_ANSWER = "The answer of the passkey is invalid or has expired. Try again."


class Totp(flask_security.Totp):
    """Check the codes of authenticator apps, each once: https://www.rfc-editor.org/rfc/rfc6238."""

    def __init__(self, secrets: dict[str, str], issuer: str) -> None:
        super().__init__(secrets, issuer)
        wallet = AppWallet(secrets, default_tag=next(iter(secrets)))
        self._newest = TOTP.using(issuer=issuer, wallet=wallet)

    def generate_totp_secret(self) -> str:
        """Create the secret of an account, encrypted by the newest of our secrets."""
        secret: str = self._newest.new().to_json(encrypt=True)
        return secret

    def get_last_counter(self, user: Any) -> int | None:  # noqa: ANN401
        """Return the number of the last code that was accepted."""
        _lock(user)
        counter: int | None = user.totp_counter
        return counter

    def set_last_counter(self, user: Any, tmatch: Any) -> None:  # noqa: ANN401
        """Store the number of the code that is accepted."""
        user.totp_counter = tmatch.counter


class RecoveryCodesUtil(flask_security.MfRecoveryCodesUtil):
    """Check recovery codes, each once."""

    def check_recovery_code(self, user: UserMixin, code: str) -> bool:
        """Return whether a code is one of those that are left."""
        _lock(user)
        return super().check_recovery_code(user, code)

    def create_recovery_codes(self, user: UserMixin) -> list[str]:
        """Create new codes, and tell the owner of the account."""
        notify(user, "New recovery codes were made.")
        return super().create_recovery_codes(user)


class PasskeyUtil(flask_security.WebauthnUtil):
    """Choose passkeys: https://www.w3.org/TR/webauthn-3/#dictionary-authenticatorSelection."""

    def generate_challenge(self, nbytes: int | None = None) -> str:
        """Create a challenge, which only this browser may answer, once."""
        session["passkey_challenge"] = challenge = super().generate_challenge(nbytes)
        return challenge

    def authenticator_selection(
        self, user: UserMixin, usage: str
    ) -> AuthenticatorSelectionCriteria:
        """Require a passkey that stores the account, if it replaces the password."""
        return AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED if usage == "first" else None,
            user_verification=self.user_verification(user, [usage]),
        )

    def user_verification(
        self, user: UserMixin | None, usage: list[str]
    ) -> UserVerificationRequirement:
        """Require that the passkey verifies its owner, if it replaces the password."""
        if "secondary" in usage:
            return UserVerificationRequirement.DISCOURAGED
        return UserVerificationRequirement.REQUIRED


class PasskeyRegisterForm(WebAuthnRegisterResponseForm):
    """Add the passkey that answers the challenge of this browser."""

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the answer is valid."""
        is_valid = _is_answer(self, super().validate)
        self.extensions = "{}"  # Flask-Security would store them unchecked
        return is_valid


class PasskeySigninForm(WebAuthnSigninResponseForm):
    """Log in by the passkey that answers the challenge of this browser."""

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the answer is valid, and of the account that has typed its password.

        If it replaces the password, the passkey has to verify its owner.
        """
        if not _is_answer(self, super().validate):
            return False
        if self.is_secondary and self.user:
            is_allowed = bool(self.user.fs_uniquifier == session["tf_user_id"])
        else:
            is_allowed = self.is_verify or self.mf_check
        if not is_allowed:
            self.form_errors.append(INVALID_ANSWER)
        return is_allowed


def _is_answer(form: Any, validate: Callable[[], bool]) -> bool:  # noqa: ANN401
    """Return whether a form is valid, and answers the last challenge of this browser."""
    try:
        if session.pop("passkey_challenge", None) == form.challenge:
            return validate()
    except RecursionError:  # of the JSON
        pass
    form.form_errors.append(INVALID_ANSWER)
    return False


def _lock(account: UserMixin) -> None:
    """Wait for other requests that use a code of this account, and read what they have changed."""
    db.session.refresh(account, ["totp_counter", "mf_recovery_codes"], with_for_update=True)
