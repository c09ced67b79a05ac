"""The tables of accounts, with their roles, passkeys and sessions."""

import secrets
from datetime import UTC, datetime

from flask import request
from flask_security import RoleMixin, UserMixin, WebAuthnMixin
from sqlalchemy import JSON, VARBINARY, Column, ForeignKey, LargeBinary, String, Text, func
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..database import db

account_role = db.Table(
    "account_role",
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("role.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Role(db.Model, RoleMixin):
    """What an account may do: `@roles_required("administrator")` requires it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    description: Mapped[str | None]


class Account(db.Model, UserMixin):
    """A person who can log in.

    Flask-Security prescribes the names of the columns:
    https://flask-security.readthedocs.io/en/stable/models.html
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str | None]  # its hash
    active: Mapped[bool]
    # A new password changes it, which ends what began with the old one.
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    # The second factor; totp_counter is the number of the last code that was accepted.
    tf_primary_method: Mapped[str | None] = mapped_column(String(64))
    tf_totp_secret: Mapped[str | None] = mapped_column(Text)
    totp_counter: Mapped[int | None]
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(
        MutableList.as_mutable(JSON(none_as_null=True))
    )
    fs_webauthn_user_handle: Mapped[str] = mapped_column(String(64), unique=True)

    roles: Mapped[list[Role]] = relationship(secondary=account_role)  # type: ignore[assignment]
    webauthn: Mapped[list["Passkey"]] = relationship(  # type: ignore[assignment]
        back_populates="account", cascade="all, delete-orphan", passive_deletes=True
    )

    def begin_session(self) -> str:
        """Begin a session, and return its key for the cookies."""
        session = Session(
            key=secrets.token_urlsafe(),
            account_id=self.id,
            fs_uniquifier=self.fs_uniquifier,
            began_at=datetime.now(UTC),
            address=(request.remote_addr or "")[:64],  # a proxy may send more
            browser=request.user_agent.string[:255],
        )
        db.session.add(session)
        return session.key


class Passkey(db.Model, WebAuthnMixin):
    """A key on a phone, a computer or a security key: https://www.w3.org/TR/webauthn-3/."""

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    # As long as the specification allows. MySQL can't index a BLOB.
    credential_id: Mapped[bytes] = mapped_column(
        LargeBinary(1023).with_variant(VARBINARY(1023), "mysql", "mariadb"), unique=True
    )
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int]
    transports: Mapped[list[str] | None] = mapped_column(
        MutableList.as_mutable(JSON(none_as_null=True))
    )
    backup_state: Mapped[bool]
    device_type: Mapped[str] = mapped_column(String(64))
    extensions: Mapped[str | None] = mapped_column(Text)
    lastuse_datetime: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(64))
    usage: Mapped[str] = mapped_column(String(64))

    account: Mapped[Account] = relationship(back_populates="webauthn")

    def get_user_mapping(self) -> dict[str, object]:
        """Return what Flask-Security finds the account by."""
        return {"id": self.account_id}


class Session(db.Model):
    """A browser in which an account is logged in."""

    __tablename__ = "account_session"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True
    )
    fs_uniquifier: Mapped[str] = mapped_column(String(64))  # that of the account at the beginning
    began_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str]
