"""How Flask-Security stores accounts and hashes their passwords."""

from datetime import UTC, datetime
from typing import Any

import flask_security
from blinker import signal
from flask import current_app, has_request_context
from flask_security import SQLAlchemyUserDatastore, UserMixin
from zxcvbn import zxcvbn

from ..database import db

ROLES = ("administrator",)
# Of 4: more than 10^8 guesses. https://github.com/dwolfhub/zxcvbn-python
MIN_SCORE = 3
MAX_CHECKED = 24  # characters: for many letters that can stand for others, more would take seconds


access_reset = signal("access-reset")


class Datastore(SQLAlchemyUserDatastore):
    """Store accounts by SQLAlchemy: https://flask-security.readthedocs.io/en/stable/api.html."""

    def put(self, model: Any) -> Any:  # noqa: ANN401
        """Store a row at once, so that the database refuses it before a message is sent."""
        super().put(model)  # type: ignore[no-untyped-call]
        db.session.flush()
        return model

    def find_user(self, case_insensitive: bool = False, **attribute: Any) -> UserMixin | None:
        """Return the account with this attribute. If there is none, Flask-Security hashes next."""
        account = super().find_user(case_insensitive, **attribute)
        if account is None:
            release_transaction()
        return account

    def create_user(self, **values: Any) -> UserMixin:
        """Create an account. One that a command creates is confirmed, and may have roles.

        Raises:
            ValueError: There is no such role.
        """
        if not has_request_context():
            values["confirmed_at"] = datetime.now(UTC)
            if isinstance(names := values.get("roles"), str):
                for name in (roles := names.split(",")):
                    if name not in ROLES:
                        raise ValueError(f"There is no role {name}. Roles: {', '.join(ROLES)}.")
                values["roles"] = [self.find_or_create_role(name) for name in roles]
        return super().create_user(**values)

    def webauthn_reset(self, user: Any) -> None:  # noqa: ANN401
        """Delete the passkeys of an account."""
        user.webauthn.clear()

    def reset_user_access(self, user: UserMixin) -> None:
        """End the sessions and tokens of an account, and delete its second factor and passkeys."""
        super().reset_user_access(user)
        access_reset.send(user=user)

    def deactivate_user(self, user: UserMixin) -> bool:
        """Deactivate an account, whose sessions and tokens end for good."""
        self.set_uniquifier(user)
        access_reset.send(user=user)
        return super().deactivate_user(user)


class PasswordUtil(flask_security.PasswordUtil):
    """Refuse passwords that can be guessed, and prepare others for hashing."""

    def validate(
        self, password: str, is_register: bool, **kwargs: Any
    ) -> tuple[list[str] | None, str]:
        """Return why a password can't be used, if so, and its normal form.

        The lists of zxcvbn have the passwords that leaked most often, words and names. It finds
        them with changed letters, too, in sequences, and beside patterns of the keyboard.
        """
        messages, normal = super().validate(password, is_register, **kwargs)
        account = kwargs.get("user")
        email = str(account.email if account else kwargs.get("email"))
        known = [email, email.partition("@")[0], current_app.config["PROJECT_NAME"]]
        if not messages and zxcvbn(normal[:MAX_CHECKED], known)["score"] < MIN_SCORE:
            messages = ["This password is easy to guess. Add a few unrelated words."]
        return messages, normal

    def normalize(self, password: str) -> str:
        """Normalize a password before it is hashed."""
        release_transaction()
        return super().normalize(password)


def release_transaction() -> None:
    """End the transaction before a password is hashed: on SQLite, it would block other writers."""
    if not (db.session.new or db.session.dirty):
        db.session.commit()
