"""Fixtures: the test client, and the settings that tests change."""

from __future__ import annotations
{% if cookiecutter.accounts == "yes" %}
from collections.abc import Iterator

import pytest
from account_factories import log_in, make_account
from flask import Flask, appcontext_pushed, g
from flask.testing import FlaskClient
from passlib.totp import AppWallet

from {{ cookiecutter.project_slug }}.accounts import rate_limits

AppWallet.encrypt_cost = 4  # how the keys of second factors are encrypted
# A note in a database of the first revision.
NOTE_ROWS = (
    "INSERT INTO account (id, email, active, fs_uniquifier, fs_webauthn_user_handle)"
    " VALUES (1, 'ann@example.com', true, 'a', 'b')",
    "INSERT INTO note (owner_id, title, body) VALUES (1, 'Milk', 'Two litres')",
)
OPEN = {"public": True}  # how a blueprint of the API needs no token
FAST_HASH = {"argon2__rounds": 1, "argon2__memory_cost": 8, "argon2__parallelism": 1}
# What an application is created faster without.
OPTIONAL = (
    "RATELIMIT_ENABLED",
    "SECURITY_REGISTERABLE",
    "SECURITY_TWO_FACTOR",
    "SECURITY_WEBAUTHN",
)


@pytest.fixture(scope="session")
def test_settings() -> dict[str, object]:
    """Return the settings of all tests: over HTTP, with passwords that are hashed at once."""
    return {
        "TESTING": True,
        "SESSION_COOKIE_SECURE": False,
        "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS": FAST_HASH,
    }


@pytest.fixture(scope="session")
def small_settings() -> dict[str, object]:
    """Return the settings of applications that a test creates, with fewer pages for accounts."""
    return dict.fromkeys(OPTIONAL, False)


@pytest.fixture(scope="session")
def few_attempts() -> Iterator[None]:
    """Have a few attempts be enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "PER_ACCOUNT", "2 per minute")
        patch.setattr(rate_limits, "PER_NETWORK", "4 per minute")
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
{%- else %}
import pytest
from flask import Flask
from flask.testing import FlaskClient

# A note in a database of the first revision.
NOTE_ROWS = ("INSERT INTO note (title, body) VALUES ('Milk', 'Two litres')",)
OPEN: dict[str, object] = {}


@pytest.fixture(scope="session")
def test_settings() -> dict[str, object]:
    """Return the settings of all tests."""
{%- if "pages" in cookiecutter.interface %}
    return {"TESTING": True, "SESSION_COOKIE_SECURE": False}  # over HTTP
{%- else %}
    return {"TESTING": True}
{%- endif %}


@pytest.fixture(scope="session")
def small_settings() -> dict[str, object]:
    """Return the settings of applications that a test creates."""
    return {}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a test client: https://flask.palletsprojects.com/en/stable/testing/."""
    return app.test_client()
{%- endif %}
