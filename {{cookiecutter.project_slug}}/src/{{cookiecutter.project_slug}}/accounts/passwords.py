"""Passwords are hashed while nobody has to wait for the database."""

from __future__ import annotations

from typing import Any

from flask_security import Security
from passlib.context import CryptContext

from ..database import db


class PasswordContext(CryptContext):
    """Lets the database go first: on SQLite, each attempt to log in would keep others from writing."""

    def hash(self, *arguments: Any, **options: Any) -> str:  # noqa: ANN401
        _let_go()
        hashed: str = super().hash(*arguments, **options)
        return hashed

    def verify(self, *arguments: Any, **options: Any) -> bool:  # noqa: ANN401
        _let_go()
        matches: bool = super().verify(*arguments, **options)
        return matches


def init_app(security: Security) -> None:
    security.pwd_context = PasswordContext(**security.pwd_context.to_dict())


def _let_go() -> None:
    """End the transaction. Flask-Security hashes before it changes anything."""
    if not (db.session.new or db.session.dirty):
        db.session.commit()
