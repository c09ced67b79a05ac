"""What protects the application and its visitors."""

from __future__ import annotations

from io import BytesIO

import pytest
from conftest import NewApp
from flask import request, url_for
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from {{ cookiecutter.project_slug }}.security import HEADERS


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/static/icon.svg"])
def test_each_response_has_the_headers(client: FlaskClient, path: str) -> None:
    with client.get(path) as response:
        headers = response.headers

    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_only_trusted_hosts_are_served(new_app: NewApp) -> None:
    client = new_app(TRUSTED_HOSTS=["example.com"]).test_client()

    assert client.get("/healthz", base_url="http://example.com").status_code == 200
    assert client.get("/healthz", base_url="http://example.net").status_code == 400


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "192.0.2.1")])
def test_proxies_are_believed_only_where_they_are_configured(
    new_app: NewApp, proxies: int, address: str
) -> None:
    app = new_app(PROXIES=proxies)
    app.add_url_rule("/address", view_func=lambda: request.remote_addr or "")

    assert (
        app.test_client().get("/address", headers={"X-Forwarded-For": "192.0.2.1"}).text == address
    )


@pytest.mark.parametrize(
    "prefix",
    ["/shop", "//evil", "/\\evil", "/\t/evil", '/"><a href="evil', ".evil.com", "@evil", ":1@evil"],
)
def test_a_prefix_is_a_path(new_app: NewApp, prefix: str) -> None:
    status = 200 if prefix == "/shop" else 400
    app = new_app(PROXIES=1)
    app.add_url_rule("/link", view_func=lambda: url_for("static", filename="icon.svg"))

    answer = app.test_client().get("/link", headers={"X-Forwarded-Prefix": prefix})

    assert answer.status_code == status
    assert answer.text.startswith("/shop/static/") == (status == 200)
    assert "<a" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"X-Forwarded-Proto": "javascript"}, {"Host": "xn--.example.com"}, {"Host": "evil.com"}],
)
def test_the_scheme_and_the_host_are_checked(new_app: NewApp, headers: dict[str, str]) -> None:
    app = new_app(PROXIES=1, TRUSTED_HOSTS=[".example.com"])
    app.add_url_rule("/link", view_func=lambda: request.url)

    for changed, status in (({}, 200), (headers, 400)):
        sent = Headers({"Host": "www.example.com"} | changed)
        builder = EnvironBuilder("/link", headers=sent)
        _, line, _ = run_wsgi_app(app, builder.get_environ())  # a test client reads the host itself
        assert line.startswith(f"{status} ")


def test_a_wrong_host_with_a_wrong_prefix_or_body_is_refused(new_app: NewApp) -> None:
    client = new_app(PROXIES=1, MAX_CONTENT_LENGTH=10).test_client()

    wrong = {"Host": "a..b", "X-Forwarded-Prefix": "//evil"}
    assert client.get("/", headers=wrong).status_code == 400
    chunked = {"wsgi.input_terminated": True, "HTTP_HOST": "a..b"}
    body = BytesIO(b"x" * 11)
    answer = client.post("/", input_stream=body, environ_overrides=chunked)
    assert answer.status_code in (400, 413)


def test_a_part_of_a_form_needs_a_name(client: FlaskClient) -> None:
    part = "--x\r\nContent-Disposition: form-data\r\n\r\nMilk\r\n--x--\r\n"

    answer = client.post("/", data=part, content_type="multipart/form-data; boundary=x")

    assert answer.status_code == 400


class BrokenBody:
    """A body whose chunks can't be read."""

    def read(self, size: int = -1) -> bytes:
        raise RuntimeError("an error of the server")


def test_a_malformed_body_is_refused(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True, "wsgi.input": BrokenBody()}

    assert client.post("/", environ_overrides=environ).status_code == 400


def test_a_body_that_is_too_large_is_refused(new_app: NewApp) -> None:
    app = new_app(MAX_CONTENT_LENGTH=10)
    app.add_url_rule("/length", view_func=lambda: str(len(request.get_data())))

    assert app.test_client().get("/length", data=b"x" * 10).text == "10"
    assert app.test_client().get("/length", data=b"x" * 11).status_code == 413
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    for length, status in ((9, 200), (11, 413), (1_000, 413)):
        body = BytesIO(b"x" * length)
        response = app.test_client().get("/length", input_stream=body, environ_overrides=chunked)
        assert response.status_code == status
