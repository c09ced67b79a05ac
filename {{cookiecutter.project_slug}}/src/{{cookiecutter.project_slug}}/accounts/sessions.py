"""Which browsers somebody is logged in with: each session can be seen, and ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flask import Flask, g, session
from flask_login import user_logged_in, user_logged_out
from flask_security.utils import set_request_attr
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import joinedload

from ..database import db
from .models import Account, Session

LONGEST = timedelta(days=30)  # then one has to log in again


def init_app(app: Flask) -> None:
    """Have the cookies name a session in the database, in place of the account."""
    app.login_manager.id_attribute = Account.begin_session.__name__  # type: ignore[attr-defined]
    app.login_manager.user_loader(load)  # type: ignore[attr-defined]
    user_logged_in.connect(_forget_old, app)
    user_logged_out.connect(_end_current, app)


def load(key: str) -> Account | None:
    """The account of a session, where that has not ended."""
    query = (
        select(Account)
        .options(joinedload(Account.roles))
        .join(Session, Session.account_id == Account.id)
        .where(Session.key == key, Session.began_at > datetime.now(UTC) - LONGEST)
        .where(Session.fs_uniquifier == Account.fs_uniquifier, Account.active)
    )
    account = db.session.scalar(query)
    if account is None:
        session.pop("_user_id", None)  # the pages see by it whether somebody is logged in
        return None
    g.session_key = key
    # Flask-Security asks by which way somebody came, and when they last proved who they are.
    set_request_attr("fs_authn_via", "session")
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    return account


def of(account: Account) -> Sequence[Session]:
    """The sessions that have not ended, the newest first."""
    query = select(Session).where(
        Session.account_id == account.id,
        Session.fs_uniquifier == account.fs_uniquifier,
        Session.began_at > datetime.now(UTC) - LONGEST,
    )
    return db.session.scalars(query.order_by(Session.began_at.desc())).all()


def end(account: Account, key: str) -> None:
    """End one session of the account, if it is there."""
    db.session.execute(delete(Session).where(Session.account_id == account.id, Session.key == key))
    db.session.commit()


def end_others(account: Account) -> None:
    """End all sessions of the account but the one that asks."""
    others = delete(Session).where(Session.account_id == account.id, Session.key != g.session_key)
    db.session.execute(others)
    db.session.commit()


def _forget_old(app: Flask, user: Account) -> None:
    """Delete the sessions that can't be used any more; the view commits."""
    db.session.execute(
        delete(Session).where(
            Session.account_id == user.id,
            or_(
                Session.fs_uniquifier != user.fs_uniquifier,
                Session.began_at <= datetime.now(UTC) - LONGEST,
            ),
        )
    )


def _end_current(app: Flask, user: Account) -> None:
    if key := g.pop("session_key", None):
        end(user, key)
