"""Passkeys are accepted for what they are for: https://www.w3.org/TR/webauthn-3/."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from html import unescape

import pytest
from account_factories import PASSWORD, is_logged_in, log_in, make_account
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from flask.testing import FlaskClient
from forms import Form
from sqlalchemy import select
from webauthn.helpers import bytes_to_base64url, encode_cbor
from werkzeug.test import TestResponse

from {{ cookiecutter.project_slug }}.accounts.models import Passkey
from {{ cookiecutter.project_slug }}.database import db

ANN, BEN = "ann@example.com", "ben@example.com"
PRESENT, VERIFIED, IS_NEW = 0x01, 0x04, 0x40  # flags of the data of an authenticator


class SoftwareKey:
    """What a security key does, as the browser passes it on."""

    def __init__(self) -> None:
        self.id = secrets.token_bytes(32)
        self.key = ec.generate_private_key(ec.SECP256R1())

    def create(self, challenge: str, flags: int = PRESENT | VERIFIED) -> str:
        """Return the answer that registers the key."""
        point = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (point.x, point.y))
        public_key = encode_cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        data = self._get_data(flags | IS_NEW) + bytes(16) + len(self.id).to_bytes(2, "big")
        attested = {"fmt": "none", "attStmt": {}, "authData": data + self.id + public_key}
        return self._to_json("webauthn.create", challenge, attestationObject=encode_cbor(attested))

    def sign(self, challenge: str, flags: int = PRESENT | VERIFIED) -> str:
        """Return the answer that proves who has the key."""
        data = self._get_data(flags)
        client_data = self._get_client_data("webauthn.get", challenge)
        signed = data + hashlib.sha256(client_data).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return self._to_json("webauthn.get", challenge, authenticatorData=data, signature=signature)

    def _get_data(self, flags: int) -> bytes:
        return hashlib.sha256(b"localhost").digest() + bytes([flags, 0, 0, 0, 0])

    def _get_client_data(self, kind: str, challenge: str) -> bytes:
        data = {"type": kind, "challenge": challenge, "origin": "http://localhost"}
        return json.dumps(data).encode()

    def _to_json(self, kind: str, challenge: str, **response: bytes) -> str:
        response["clientDataJSON"] = self._get_client_data(kind, challenge)
        encoded = {name: bytes_to_base64url(value) for name, value in response.items()}
        key = bytes_to_base64url(self.id)
        return json.dumps(
            {"id": key, "rawId": key, "type": "public-key", "extensions": "x", "response": encoded}
        )


def post(client: FlaskClient, path: str, **values: str) -> TestResponse:
    """Send a form with the token of a page on which this browser is."""
    answers = map(client.get, ("/accounts/wan-signin", "/accounts/verify"))  # or after the log-in
    page = next(answer.text for answer in answers if not answer.location)
    return client.post(path, data={"csrf_token": Form(page).fields["csrf_token"], **values})


def begin(client: FlaskClient, path: str, **values: str) -> tuple[str, str]:
    """Ask for a passkey: the challenge, and the address for the answer."""
    page = post(client, path, **values).text
    options = re.search('data-options="([^"]+)', page)
    address = re.search('action="([^"]+)" data-passkey', page)
    assert options
    assert address
    return json.loads(unescape(options[1]))["challenge"], unescape(address[1])


def add_key(client: FlaskClient, usage: str) -> SoftwareKey:
    """Add a passkey to the account that is logged in."""
    key = SoftwareKey()
    challenge, path = begin(client, "/accounts/wan-register", name="key", usage=usage)
    post(client, path, credential=key.create(challenge))
    assert "key, " in client.get("/accounts/wan-register").text
    return key


def sign_in(client: FlaskClient, key: SoftwareKey, flags: int = PRESENT | VERIFIED) -> bool:
    """Return whether a browser is logged in after the key has answered."""
    challenge, path = begin(client, "/accounts/wan-signin")
    post(client, path, credential=key.sign(challenge, flags))
    return is_logged_in(client)


def test_a_passkey_replaces_the_password_if_it_verifies_its_owner(
    app: Flask, client: FlaskClient
) -> None:
    key = add_key(client, "first")

    assert not sign_in(app.test_client(), key, PRESENT)
    assert sign_in(app.test_client(), key)


def test_a_passkey_confirms_who_it_is(client: FlaskClient) -> None:
    key = add_key(client, "first")
    with client.session_transaction() as session:
        session["fs_paa"] -= 3600

    challenge, path = begin(client, "/accounts/wan-verify")
    post(client, path, credential=key.sign(challenge, PRESENT))

    assert client.get("/accounts/delete").status_code == 200


def test_a_challenge_for_something_else_is_refused(app: Flask, client: FlaskClient) -> None:
    """One for a second factor doesn't ask for the owner."""
    key = add_key(client, "first")
    challenge, path = begin(client, "/accounts/wan-register", name="other", usage="secondary")
    path = path.replace("wan-register", "wan-signin")
    visitor = app.test_client()

    post(visitor, path, credential=key.sign(challenge, PRESENT))
    assert not is_logged_in(visitor)

    with client.session_transaction() as session:
        known = session["passkey_challenge"]
    with visitor.session_transaction() as session:
        session["passkey_challenge"] = known
    post(visitor, path, credential=key.sign(challenge, PRESENT))
    assert not is_logged_in(visitor)


def test_an_answer_works_once_and_in_one_browser(app: Flask, client: FlaskClient) -> None:
    key = add_key(client, "first")
    visitor = app.test_client()
    challenge, path = begin(visitor, "/accounts/wan-signin")
    answer = key.sign(challenge)

    thief = app.test_client()
    post(thief, path, credential=answer)
    assert not is_logged_in(thief)
    post(visitor, path, credential=answer)
    assert is_logged_in(visitor)
    post(visitor, "/accounts/logout")
    post(visitor, path, credential=answer)
    assert not is_logged_in(visitor)


def test_a_second_factor_is_that_of_the_account_of_the_password(
    app: Flask, client: FlaskClient
) -> None:
    """Otherwise, the key of another account would log in without its password."""
    make_account(app, BEN)
    keys = {ANN: add_key(client, "secondary"), BEN: add_key(log_in(app, BEN), "secondary")}
    for owner, is_accepted in ((ANN, False), (BEN, True)):
        visitor = app.test_client()
        post(visitor, "/accounts/login", email=BEN, password=PASSWORD)
        assert not is_logged_in(visitor)
        assert sign_in(visitor, keys[owner], PRESENT) == is_accepted


@pytest.mark.parametrize("answer", ["[" * 5000, "{}", "", "x"])
def test_what_is_no_answer_is_refused(app: Flask, client: FlaskClient, answer: str) -> None:
    _, path = begin(client, "/accounts/wan-register", name="key", usage="first")
    assert post(client, path, credential=answer).location == "/accounts/wan-register"
    visitor = app.test_client()
    _, path = begin(visitor, "/accounts/wan-signin")
    assert post(visitor, path, credential=answer).location == "/accounts/wan-signin"


def test_extensions_of_a_passkey_are_not_stored(app: Flask, client: FlaskClient) -> None:
    add_key(client, "first")

    with app.app_context():
        assert db.session.scalars(select(Passkey.extensions)).all() == ["{}"]
