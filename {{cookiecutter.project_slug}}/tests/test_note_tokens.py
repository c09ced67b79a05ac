"""A token opens the notes of its account alone."""

from __future__ import annotations

from itertools import product

from account_factories import log_in, make_account
from flask import Flask
from flask.testing import FlaskClient
from note_factories import make_note


def test_notes_of_other_accounts_are_not_found(app: Flask, client: FlaskClient) -> None:
    path = f"/api/notes/{make_note(app)}"
    etag = client.get(path).headers["ETag"]
    make_account(app, "ben@example.com")
    ben = log_in(app, "ben@example.com")

    for method, tag in product(["GET", "PUT", "DELETE"], [etag, "*"]):
        answer = ben.open(path, method=method, json={"title": "x"}, headers={"If-Match": tag})
        assert answer.status_code == 404
    assert ben.get("/api/notes").json == {"items": [], "next": None}
    assert client.get(path).headers["ETag"] == etag
