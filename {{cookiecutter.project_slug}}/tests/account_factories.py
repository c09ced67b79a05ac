"""Create accounts, and log in."""

from __future__ import annotations

from flask import Flask, session
from flask.testing import FlaskClient
from flask_security import hash_password, login_user
from sqlalchemy import select

from {{ cookiecutter.project_slug }}.accounts.models import Account
from {{ cookiecutter.project_slug }}.database import db

PASSWORD = "correct horse battery staple"


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
        login_user(account)
{%- if "api" in cookiecutter.interface %}
        from {{ cookiecutter.project_slug }}.accounts.tokens import create_token

        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {create_token(account, 'tests')}"
{%- endif %}
        db.session.commit()
        values = dict(session)
    with client.session_transaction() as session_of_client:
        session_of_client.update(values)
    return client


def is_logged_in(client: FlaskClient) -> bool:
    """Return whether an account is logged in."""
    return client.get("/accounts").status_code == 200
