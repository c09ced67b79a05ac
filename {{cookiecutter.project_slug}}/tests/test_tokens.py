"""Programs use the API with a token, and see only what belongs to its account."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from account_factories import log_in, make_account
from conftest import NewApp
from flask import Flask
from flask.testing import FlaskClient
from forms import Form, submit
from sqlalchemy import select, update
from werkzeug.exceptions import Unauthorized

from {{ cookiecutter.project_slug }}.accounts import mail, tokens
from {{ cookiecutter.project_slug }}.accounts.models import Account
from {{ cookiecutter.project_slug }}.accounts.tokens import TOKEN_LIFETIME, Token, require_token
from {{ cookiecutter.project_slug }}.api import Blueprint
from {{ cookiecutter.project_slug }}.database import db


def create_token(client: FlaskClient, name: str = "backup") -> str:
    """Create a token on the page, which shows it this once."""
    found = re.search(
        r"<code>([\w-]{43})</code>", submit(client, "/accounts/tokens", name=name).text
    )
    assert found
    return found[1]


def get_status(app: Flask, token: str) -> int:
    """Return the status of a request with this header to what needs a token."""
    with app.test_request_context(headers={"Authorization": token}):
        try:
            require_token()
        except Unauthorized:
            return 401
    return 200


def test_a_token_opens_the_api(app: Flask, client: FlaskClient) -> None:
    token = create_token(client)

    assert get_status(app, f"Bearer {token}") == 200
    page = client.get("/accounts/tokens").text
    assert "backup, expires" in page
    assert token not in page
    with app.app_context():
        assert token not in str(db.session.execute(select(Token.__table__)).all())


def new_client(new_app: NewApp) -> FlaskClient:
    """Return the client of an application with an open and a closed operation."""
    app = new_app()
    for name, is_public in (("open", True), ("closed", False)):
        blueprint = Blueprint(name, __name__, url_prefix=f"/api/{name}")
        blueprint.add_url_rule("", "add", lambda: {}, methods=["POST"])
        app.extensions["api"].register_blueprint(blueprint, public=is_public)
    return app.test_client()


def test_a_missing_or_invalid_token_is_answered_401(new_app: NewApp) -> None:
    client = new_client(new_app)
    for given in ("", "Bearer", "Bearer x", "Bearer \xe9", "Basic YTpi", "Basic \xff", "x"):
        answer = client.post("/api/closed", headers={"Authorization": given})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == "application/problem+json"
        assert "token" in answer.text


def test_cookies_do_not_open_the_api(app: Flask, client: FlaskClient) -> None:
    assert client.get("/accounts").status_code == 200
    cookie = client.get_cookie("session")
    assert cookie

    with (
        app.test_request_context(headers={"Cookie": f"session={cookie.value}"}),
        pytest.raises(Unauthorized),
    ):
        require_token()


def test_creating_a_token_asks_for_the_password_again(client: FlaskClient) -> None:
    with client.session_transaction() as session:
        session["fs_paa"] -= 3600

    assert "Confirm that it is you" in client.get("/accounts/tokens", follow_redirects=True).text


def revoke_token(client: FlaskClient, token_id: int) -> None:
    csrf = Form(client.get("/accounts/tokens").text).fields["csrf_token"]
    client.post(f"/accounts/tokens/{token_id}/revoke", data={"csrf_token": csrf})


def test_a_revoked_token_is_refused(app: Flask, client: FlaskClient) -> None:
    token, other = create_token(client), create_token(client, "other")
    with app.app_context():
        token_id = db.session.scalars(select(Token.id).where(Token.name == "backup")).one()

    make_account(app, "ben@example.com")
    revoke_token(log_in(app, "ben@example.com"), token_id)
    assert get_status(app, f"Bearer {token}") == 200  # it belongs to Ann

    revoke_token(client, token_id)
    assert get_status(app, f"Bearer {token}") == 401
    assert get_status(app, f"Bearer {other}") == 200


def test_a_token_expires_after_a_year(app: Flask, client: FlaskClient) -> None:
    token = create_token(client)
    with app.app_context():
        db.session.execute(update(Token).values(made_at=datetime.now(UTC) - TOKEN_LIFETIME))
        db.session.commit()

    assert get_status(app, f"Bearer {token}") == 401


def test_the_tokens_of_a_deactivated_account_are_refused(app: Flask, client: FlaskClient) -> None:
    token = create_token(client)
    with app.app_context():
        db.session.execute(update(Account).values(active=False))
        db.session.commit()

    assert get_status(app, f"Bearer {token}") == 401
    assert client.get("/accounts").status_code == 302


def test_the_description_requires_a_token(client: FlaskClient) -> None:
    description = client.get("/api/openapi.json").json
    assert description is not None

    assert description["security"] == [{"token": []}]
    for item in description["paths"].values():
        operations = [item[method] for method in item if method != "parameters"]
        assert all("default" in operation["responses"] for operation in operations)


def test_a_blueprint_on_the_api_needs_a_token_unless_it_is_public(new_app: NewApp) -> None:
    client = new_client(new_app)

    assert client.post("/api/open").status_code == 200
    assert client.post("/api/closed").status_code == 401
    description = client.get("/api/openapi.json").json
    assert description
    assert description["paths"]["/api/open"]["post"]["security"] == []
    assert "security" not in description["paths"]["/api/closed"]["post"]


def test_a_token_needs_a_name(client: FlaskClient) -> None:
    fields = Form(client.get("/accounts/tokens").text).fields

    for name in ("", " ", "x" * 101, "a\nb"):
        page = client.post("/accounts/tokens", data=fields | {"name": name}).text
        assert 'aria-invalid="true"' in page
        assert "can't be shown again" not in page


@pytest.mark.parametrize("command", ["reset_access", "deactivate"])
def test_an_administrator_revokes_all_tokens(app: Flask, client: FlaskClient, command: str) -> None:
    token = create_token(client)

    app.test_cli_runner().invoke(args=["users", command, "ann@example.com"])
    app.test_cli_runner().invoke(args=["users", "activate", "ann@example.com"])

    assert get_status(app, f"Bearer {token}") == 401


def test_an_account_has_a_limited_number_of_tokens(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)  # one is that of the tests
    create_token(client)

    page = submit(client, "/accounts/tokens", name="one too many").text

    assert "Revoke one" in page
    assert "one too many, expires" not in page


def test_a_reset_of_the_password_revokes_all_tokens(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[EmailMessage] = []
    monkeypatch.setattr(mail, "send", messages.append)
    token = create_token(client)
    text = messages[0].get_body(("plain",))
    assert text
    assert "backup" in text.get_content()
    link = re.search(r"/accounts/reset/\S+", text.get_content())
    assert link

    new = "a new password of Ann"
    submit(app.test_client(), link[0], password=new, password_confirm=new)

    assert get_status(app, f"Bearer {token}") == 401
    with app.app_context():
        assert db.session.scalars(select(Token)).all() == []
