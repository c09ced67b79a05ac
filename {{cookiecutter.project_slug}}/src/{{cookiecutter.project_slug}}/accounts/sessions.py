"""The browsers in which people are logged in: each is a row, so that it can be ended."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Flask, current_app, g, got_request_exception, request, session
from flask_login import LoginManager, user_logged_in, user_logged_out
from flask_security.utils import set_request_attr
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload
from werkzeug.exceptions import SecurityError

from ..database import db
from .models import Account, Session
from .settings import SESSION_LIFETIME


def init_app(app: Flask, login_manager: LoginManager) -> None:
    """Store the key of a session in the cookies, in place of that of the account."""
    login_manager.id_attribute = Account.begin_session.__name__
    login_manager.user_loader(load_account)
    login_manager.request_loader(lambda request: None)  # Flask-Security's tokens can't be revoked
    got_request_exception.connect(_end_transaction, app)
    user_logged_in.connect(_delete_expired, app)
    user_logged_out.connect(_end_current, app)


def refuse_malformed_cookie() -> None:
    """Refuse a cookie that Flask-Login can't compare."""
    if not request.cookies.get(current_app.config["REMEMBER_COOKIE_NAME"], "").isascii():
        raise SecurityError


def _end_transaction(app: Flask, exception: BaseException) -> None:
    """End a transaction that has failed: Flask-Security commits even after an error."""
    db.session.rollback()


def load_account(key: str) -> Account | None:
    """Return the account of a session that has not ended."""
    if "database_failed" in g:
        return None  # the page that says so asks again
    query = (
        select(Account)
        .options(joinedload(Account.roles))
        .join(Session, Session.account_id == Account.id)
        .where(Session.key == key, Session.began_at > datetime.now(UTC) - SESSION_LIFETIME)
        .where(Session.fs_uniquifier == Account.fs_uniquifier, Account.active)
    )
    try:
        account: Account | None = db.session.scalar(query)
    except SQLAlchemyError:
        g.database_failed = True
        raise
    if account is None:
        for name in ("is_logged_in", "fs_paa", "fs_gexp"):
            session.pop(name, None)
        return None
    session.pop("tf_user_id", None)  # of another account, which is asked for its second factor
    session["is_logged_in"] = True  # this renews the cookie, which lasts for IDLE_TIME
    g.session_key = key
    # As Flask-Security's own loader does, for `auth_required`.
    set_request_attr("fs_authn_via", "session")
    set_request_attr("fs_paa", session.get("fs_paa", 0))
    return account


def list_for(account: Account) -> Sequence[Session]:
    """Return the sessions that have not ended, the newest first."""
    query = select(Session).where(
        Session.account_id == account.id,
        Session.fs_uniquifier == account.fs_uniquifier,
        Session.began_at > datetime.now(UTC) - SESSION_LIFETIME,
    )
    return db.session.scalars(query.order_by(Session.began_at.desc())).all()


def end(account: Account, key: str) -> None:
    """End a session of the account, if it exists."""
    db.session.execute(delete(Session).where(Session.account_id == account.id, Session.key == key))
    db.session.commit()


def end_others(account: Account) -> None:
    """End all sessions of the account except that of this request."""
    others = delete(Session).where(Session.account_id == account.id, Session.key != g.session_key)
    db.session.execute(others)
    db.session.commit()


def keep_current(account: Account) -> None:
    """Keep the session of this request, though all others end with the old `fs_uniquifier`."""
    current = update(Session).where(Session.key == g.session_key)
    db.session.execute(current.values(fs_uniquifier=account.fs_uniquifier))


def _delete_expired(app: Flask, user: Account) -> None:
    """Delete the sessions that are too old, or began before the password was changed."""
    session["is_logged_in"] = True  # for pages that don't load the account
    is_expired = or_(
        Session.fs_uniquifier != user.fs_uniquifier,
        Session.began_at <= datetime.now(UTC) - SESSION_LIFETIME,
    )
    db.session.execute(delete(Session).where(Session.account_id == user.id, is_expired))


def _end_current(app: Flask, user: Account) -> None:
    session.pop("is_logged_in", None)
    if key := g.pop("session_key", None):
        end(user, key)
