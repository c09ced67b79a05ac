"""Create the rows that a test starts with."""

from __future__ import annotations

{% if cookiecutter.accounts == "yes" -%}
from collections.abc import Iterable

from flask import Flask, session
from flask.testing import FlaskClient
from flask_security import hash_password, login_user
from sqlalchemy import select

{% if "api" in cookiecutter.interface -%}
from {{ cookiecutter.project_slug }}.accounts import tokens
{% endif -%}
from {{ cookiecutter.project_slug }}.accounts.models import Account
from {{ cookiecutter.project_slug }}.database import db
{%- else -%}
from collections.abc import Iterable

from flask import Flask
{% endif %}
from {{ cookiecutter.project_slug }}.notes import queries
from {{ cookiecutter.project_slug }}.notes.models import Note
{%- if cookiecutter.accounts == "yes" %}

PASSWORD = "correct horse battery staple"
{%- endif %}


def make_note(
    app: Flask, title: str = "Milk", body: str = "Two litres", tags: Iterable[str] = ()
) -> int:
    """Save a note, and return its id."""
    with app.app_context():
        queries.save_note(note := Note(), title=title, body=body, tag_names=tags)
        return note.id
{%- if cookiecutter.accounts == "yes" %}


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
        token = tokens.create_token(account, "tests")
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
{%- endif %}
        db.session.commit()
        values = dict(session)
    with client.session_transaction() as session_of_client:
        session_of_client.update(values)
    return client
{%- endif %}
