"""In development, a page lists pending migrations and its button runs them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from apps import Site, on_sqlite
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PATH = "/pending-migrations/"


def fields(page: str) -> dict[str, str]:
    """The fields of the form on the page."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', page))


def add_views(app: Flask) -> None:
    for path in ("/", "/healthz", "/notes"):
        app.add_url_rule(path, path, lambda: "answer")


@pytest.fixture
def developed(empty_site: Site) -> Site:
    """An application in development, with a revision that is not applied."""
    add_views(empty_site.new_app(DEBUG=True))
    empty_site.flask("init")
    empty_site.flask("migrate")
    return empty_site


@pytest.fixture
def client(developed: Site) -> FlaskClient:
    return developed.app.test_client()


def test_the_button_runs_what_is_pending(developed: Site, client: FlaskClient) -> None:
    page = client.get("/notes", headers=BROWSER)
    assert page.status_code == 503
    assert "Migrations are pending" in page.text
    assert developed.revisions()[0].stem.split("_")[2] in page.text
    assert client.get("/healthz").text == "answer"
    for address in re.findall('href="(.+?)"', page.text):
        assert client.get(address, buffered=True).status_code == 200

    response = client.post(PATH, data=fields(page.text), headers=BROWSER)

    assert (response.status_code, response.location) == (302, "/")
    assert client.get("/", headers=BROWSER).text == "answer"


@on_sqlite
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*", "text/plain"])
def test_a_program_gets_an_error_of_the_application(
    developed: Site, client: FlaskClient, accept: str | None
) -> None:
    developed.app.register_error_handler(503, lambda error: ({"error": error.description}, 503))

    response = client.get("/notes", headers={"Accept": accept} if accept else {})

    assert response.status_code == 503
    (revision,) = (path.stem.split("_")[2] for path in developed.revisions())
    expected = f"Migrations are pending: {revision}. Run: flask db prepare"
    assert response.json == {"error": expected}


@on_sqlite
def test_the_button_needs_its_token(developed: Site, client: FlaskClient) -> None:
    for data in ({}, {"token": "guessed"}, {"token": "gu\xe9ssed"}):
        response = client.post(PATH, data=data, headers=BROWSER)
        assert response.status_code == 400
        assert "is from another site" in response.text
    assert developed.tables() == set()
    page = client.get("/", headers=BROWSER).text
    for key in ("that of another application", None, None):  # without one, each run has its own
        add_views(developed.new_app(DEBUG=True, SECRET_KEY=key))
        other = developed.app.test_client()
        assert other.post(PATH, data=fields(page), headers=BROWSER).status_code == 400
        page = other.get("/", headers=BROWSER).text


@on_sqlite
def test_the_token_survives_a_restart_by_the_reloader(developed: Site, client: FlaskClient) -> None:
    page = client.get("/", headers=BROWSER).text
    add_views(developed.new_app(DEBUG=True))
    restarted = developed.app.test_client()

    assert restarted.post(PATH, data=fields(page), headers=BROWSER).status_code == 302
    assert restarted.get("/", headers=BROWSER).text == "answer"


@on_sqlite
def test_it_works_with_the_csrf_protection_of_flask_wtf(developed: Site) -> None:
    flask_wtf = pytest.importorskip("flask_wtf")
    flask_wtf.CSRFProtect(developed.app)
    client = developed.app.test_client()

    page = client.get("/", headers=BROWSER).text
    assert {*fields(page)} == {"csrf_token", "token"}
    assert client.post(PATH, data={"token": fields(page)["token"]}).status_code == 400
    assert client.post(PATH, data=fields(page)).status_code == 302
    assert client.get("/").text == "answer"


@on_sqlite
def test_it_works_under_a_prefix(developed: Site) -> None:
    app = DispatcherMiddleware(Flask("other"), {"/shop": developed.app})
    client = Client(app)
    page = client.get("/shop/notes", headers=BROWSER).text

    assert f'action="/shop{PATH}"' in page
    response = client.post(f"/shop{PATH}", data=fields(page))

    assert response.location == "/shop/"
    assert client.get("/shop/").text == "answer"


def test_a_database_out_of_reach_is_explained(new_site: Callable[[str], Site]) -> None:
    site = new_site("sqlite:////no/folder/app.db")
    add_views(site.new_app(DEBUG=True))
    client = site.app.test_client()

    page = client.get("/", headers=BROWSER)

    assert page.status_code == 503
    assert "Create its folder, /no/folder" in page.text
    again = client.post(PATH, data=fields(page.text), headers=BROWSER)
    assert "Create its folder" in again.text
    assert "Create its folder" in client.get("/").text


def test_a_database_that_is_broken_otherwise_is_explained(
    developed: Site, client: FlaskClient
) -> None:
    developed.execute("CREATE TABLE alembic_version (something INTEGER)")

    page = client.get("/", headers=BROWSER).text
    assert "The database&#39;s revision can&#39;t be read." in page


@on_sqlite
def test_a_revision_that_fails_is_explained(developed: Site, client: FlaskClient) -> None:
    developed.add_revision("bad", 'op.execute("no SQL")')
    page = client.get("/", headers=BROWSER).text

    again = client.post(PATH, data=fields(page), headers=BROWSER)

    assert again.status_code == 503
    assert "The statement was: no SQL" in again.text


@on_sqlite
def test_outside_development_there_is_no_such_page(developed: Site) -> None:
    add_views(developed.new_app())
    client = developed.app.test_client()

    assert client.get("/", headers=BROWSER).text == "answer"
    assert client.post(PATH).status_code == 404
    assert "safe_migrations" not in developed.app.blueprints
