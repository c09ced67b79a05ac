"""The first page."""

from __future__ import annotations

from flask.testing import FlaskClient
from markupsafe import escape


def test_the_first_page_names_the_application(client: FlaskClient) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert escape(client.application.config["PROJECT_NAME"]) in response.text
