"""Fixtures of an application with accounts: Ann, her browser and her notes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from flask import Flask, appcontext_pushed, g
from flask.testing import FlaskClient
from flask_security import hash_password
from passlib.totp import AppWallet
from sqlalchemy import select

from {{ cookiecutter.project_slug }}.accounts import rate_limits
from {{ cookiecutter.project_slug }}.accounts.models import Account
{%- if "api" in cookiecutter.interface %}
from {{ cookiecutter.project_slug }}.accounts.tokens import create_token
{%- endif %}
from {{ cookiecutter.project_slug }}.database import db

PASSWORD = "correct horse battery staple"
AppWallet.encrypt_cost = 4  # how the keys of second factors are encrypted
CONFIG: dict[str, object] = {
    "TESTING": True,
    "SESSION_COOKIE_SECURE": False,
    "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": {
        "argon2__rounds": 1,
        "argon2__memory_cost": 8,
        "argon2__parallelism": 1,
    },
}
# What an application is created faster without.
SMALL: dict[str, object] = dict.fromkeys(
    (
        "RATELIMIT_ENABLED",
        "SECURITY_REGISTERABLE",
        "SECURITY_TWO_FACTOR",
        "SECURITY_WEBAUTHN",
    ),
    False,
)


def make_account(app: Flask, email: str = "ann@example.com") -> int:
    """Create an account whose address is confirmed, and return its id."""
    with app.app_context():
        datastore = app.extensions["security"].datastore
        account = datastore.create_user(email=email, password=hash_password(PASSWORD))
        datastore.commit()
        return int(account.id)


def log_in(app: Flask, email: str) -> FlaskClient:
    """Return a test client in which an account is logged in, as after the form."""
    client = app.test_client()
    with app.test_request_context():
        account = db.session.scalars(select(Account).where(Account.email == email)).one()
        key = account.begin_session()
{%- if "api" in cookiecutter.interface %}
        token = create_token(account, "tests")
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
{%- endif %}
        db.session.commit()
    with client.session_transaction() as session:
        session.update(_user_id=key, _fresh=True, fs_paa=time.time())
    return client


@pytest.fixture(scope="session")
def few_attempts() -> Iterator[None]:
    """Have a few attempts be enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "PER_ACCOUNT", "2 per minute")
        patch.setattr(rate_limits, "PER_ADDRESS", "4 per minute")
        yield


@pytest.fixture(scope="session", autouse=True)
def ann(few_attempts: None, migrated_app: Flask) -> FlaskClient:
    """Return the browser in which Ann has logged in before all tests."""
    (limiter,) = migrated_app.extensions["limiter"]
    limiter.enabled = False  # until a test counts attempts
    make_account(migrated_app)
    return log_in(migrated_app, "ann@example.com")


@pytest.fixture(autouse=True)
def owner(migrated_app: Flask) -> Iterator[None]:
    """Have Ann own what a test creates outside a request."""

    def set_owner(app: Flask) -> None:
        g.account_id = 1

    with appcontext_pushed.connected_to(set_owner, migrated_app):
        yield


@pytest.fixture
def client(app: Flask, ann: FlaskClient) -> FlaskClient:
    """Return a test client in which Ann is logged in, and which sends her token, if there is one.

    https://flask.palletsprojects.com/en/stable/testing/
    """
    client = app.test_client()
    cookie = ann.get_cookie("session")
    assert cookie
    client.set_cookie("session", cookie.value)
    client.environ_base = ann.environ_base.copy()
    return client
