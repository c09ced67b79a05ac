"""How Flask-Security stores accounts and hashes their passwords."""

from datetime import UTC, datetime
from typing import Any

import flask_security
from flask import has_request_context
from flask_security import SQLAlchemyUserDatastore, UserMixin

from ..database import db

ROLES = ("administrator",)


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
            _release_transaction()
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
                        raise ValueError(f"There is no role {name}. There is {', '.join(ROLES)}.")
                values["roles"] = [self.find_or_create_role(name) for name in roles]
        return super().create_user(**values)


class PasswordUtil(flask_security.PasswordUtil):
    """Prepare passwords for hashing."""

    def normalize(self, password: str) -> str:
        """Normalize a password before it is hashed."""
        _release_transaction()
        return super().normalize(password)


def _release_transaction() -> None:
    """End the transaction before a password is hashed: on SQLite, it would block other writers."""
    if not (db.session.new or db.session.dirty):
        db.session.commit()
