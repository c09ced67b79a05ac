"""Tokens, with which programs use the API in somebody's name: made, listed and revoked on a page."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flask import abort, g, request
from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.datastructures import WWWAuthenticate

from ..database import Base, db
from .models import Account

LONGEST = timedelta(days=365)


class Token(Base):
    """A token, of which only the hash is kept: nobody can read it here."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(100))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    made_at: Mapped[datetime]

    @property
    def ends_at(self) -> datetime:
        return self.made_at + LONGEST


def make(account: Account, name: str) -> str:
    """Make a token, and give it: it can't be shown again."""
    token = secrets.token_urlsafe()
    values = {"account_id": account.id, "hash": _hash(token), "made_at": datetime.now(UTC)}
    db.session.add(Token(name=name, **values))
    db.session.commit()
    return token


def of(account: Account) -> Sequence[Token]:
    """The tokens of an account, the newest first."""
    query = select(Token).where(Token.account_id == account.id).order_by(Token.id.desc())
    return db.session.scalars(query).all()


def revoke(account: Account, token_id: int) -> None:
    """Revoke a token of the account, if it is there."""
    db.session.execute(delete(Token).where(Token.account_id == account.id, Token.id == token_id))
    db.session.commit()


def require() -> None:
    """Let a request to the API pass only with a token. Cookies don't count: a page of another site
    could have a browser send them.
    """
    given = request.authorization
    token = given.token if given and given.type == "bearer" else None
    query = (
        select(Account.id)
        .join(Token, Token.account_id == Account.id)
        .where(Token.hash == _hash(token or ""), Token.made_at > datetime.now(UTC) - LONGEST)
        .where(Account.active)
    )
    account_id = db.session.scalar(query) if token else None
    if account_id is None:
        abort(
            401,
            "Send a token that has not been revoked, as in Authorization: Bearer …; /accounts has"
            " a page that makes one.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    g.account_id = account_id


def _hash(token: str) -> str:
    """A plain hash will do: whoever has it can't guess a token of 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
