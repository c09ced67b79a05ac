"""Tokens, with which programs use the API for an account."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apispec import BasePlugin
from flask import Blueprint, Flask, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import auth_required, current_user, password_reset
from flask_wtf import FlaskForm
from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.datastructures import WWWAuthenticate
from wtforms import StringField
from wtforms.validators import DataRequired, Length, Regexp

from ..database import MAX_INTEGER, db
from .datastore import access_reset
from .events import notify
from .models import Account
from .settings import FRESHNESS

TOKEN_LIFETIME = timedelta(days=365)
MAX_TOKENS = 50  # of an account

blueprint = Blueprint("tokens", __name__, url_prefix="/accounts/tokens")


class Token(db.Model):
    """A token. Only its hash is stored."""

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
        """Return the time from which the token is refused."""
        return self.made_at + TOKEN_LIFETIME


class PublicOperations(BasePlugin):
    """Says in openapi.json which operations need no token: those of public blueprints."""

    def __init__(self) -> None:
        self.blueprints: set[str] = set()

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Describe the operations of a path."""
        if options["rule"].endpoint.partition(".")[0] in self.blueprints:
            for operation in (operations or {}).values():
                operation["security"] = []


class TokenForm(FlaskForm):
    """The form to create a token."""

    name = StringField(
        "What is the token for?",
        [
            DataRequired(),
            Length(max=100),
            Regexp(r"[^\x00-\x1f\x7f]*\Z", message="Type plain text, on one line."),
        ],
        [lambda name: name and name.strip()],
    )


def init_app(app: Flask) -> None:
    """Add the pages of the tokens."""
    app.register_blueprint(blueprint)
    password_reset.connect(_revoke_all, app)
    access_reset.connect(_revoke_all)


@blueprint.route("", methods=["GET", "POST"])
@auth_required("session", within=lambda: FRESHNESS)
def index() -> str:
    """List the tokens, and create one, which is shown this once."""
    form, new = TokenForm(), ""
    if form.validate_on_submit():
        if len(list_for(current_user)) < MAX_TOKENS:
            new = create_token(current_user, form.name.data or "")
            notify(current_user, f"The API token “{form.name.data}” was created.")
        else:
            flash(f"You can have at most {MAX_TOKENS} tokens. Revoke one that you don't need.")
    tokens = list_for(current_user)
    return render_template("accounts/tokens.html", form=form, new=new, tokens=tokens)


@blueprint.post(f"/<int(max={MAX_INTEGER}):token_id>/revoke")
@auth_required("session")
def revoke(token_id: int) -> ResponseReturnValue:
    """Revoke a token of the account, if it exists."""
    query = select(Token).where(Token.account_id == current_user.id, Token.id == token_id)
    if token := db.session.scalar(query):
        db.session.delete(token)
        db.session.commit()
        notify(current_user, f"The API token “{token.name}” was revoked.")
        flash("The token was revoked.")
    return redirect(url_for(".index"))


def create_token(account: Account, name: str) -> str:
    """Create a token, and return it. It can't be read again."""
    token = secrets.token_urlsafe()
    values = {"account_id": account.id, "hash": _hash(token), "made_at": datetime.now(UTC)}
    db.session.add(Token(name=name, **values))
    db.session.commit()
    return token


def list_for(account: Account) -> Sequence[Token]:
    """Return the tokens of an account, the newest first."""
    query = select(Token).where(Token.account_id == account.id).order_by(Token.id.desc())
    return db.session.scalars(query).all()


def require_token() -> None:
    """Refuse a request without a valid token, and set `g.account_id`.

    Cookies are ignored: another site can make a browser send them.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    query = (
        select(Account.id)
        .join(Token, Token.account_id == Account.id)
        .where(Token.hash == _hash(token), Token.made_at > datetime.now(UTC) - TOKEN_LIFETIME)
        .where(Account.active)
    )
    account_id = db.session.scalar(query) if kind.lower() == "bearer" else None
    if account_id is None:
        abort(
            401,
            "Send a valid token in the header Authorization: Bearer TOKEN. Create one at"
            f" {url_for('tokens.index')}.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    g.account_id = account_id


def _revoke_all(sender: object, user: Account, **options: object) -> None:
    """Revoke the tokens of an account whose password is reset: somebody else may have them."""
    db.session.execute(delete(Token).where(Token.account_id == user.id))


def _hash(token: str) -> str:
    """Return a plain hash, which is safe for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
