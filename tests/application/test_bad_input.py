"""Whatever is typed into the pages: it is refused with a reason or stored whole, on each database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from urllib.parse import quote, urlencode

import pytest
from conftest import Project, User, get
from servers import KINDS, driver_named, snapshot

FORM = "application/x-www-form-urlencoded"


@dataclass
class Visitor:
    """Somebody with a browser that sends what a test gives it."""

    port: int
    uri: str
    cookie: str = ""
    token: str = field(default="", init=False)

    def ask(
        self, method: str, path: str, body: bytes | str = b"", **headers: str
    ) -> tuple[int, str, str]:
        """Send a request: (status, location, page)."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"Cookie": self.cookie, **names})
            response = connection.getresponse()
            if cookie := response.headers["Set-Cookie"]:
                self.cookie = cookie.partition(";")[0]
            page = response.read().decode()
            return response.status, response.headers["Location"] or "", page
        finally:
            connection.close()

    def open(self, path: str) -> str:
        """Get a page with a form, and keep the token of the form."""
        status, _, page = self.ask("GET", path)
        assert status == 200, page
        self.token = re.findall(r'name="csrf_token".*?value="(.*?)"', page)[-1]
        return page

    def send(self, path: str, values: dict[str, str]) -> tuple[int, str, str]:
        """Post these values, exactly as they are."""
        fields = {"csrf_token": self.token, **values}
        body = urlencode(fields)
        return self.ask("POST", path, body, Content_Type=FORM)

    def write(self, **values: str) -> str:
        """Write a note, and return its path."""
        self.open("/notes/new")
        status, location, page = self.send("/notes/new", {"title": "Milk", **values})
        assert status == 302, page
        return location


@pytest.fixture(scope="module", params=KINDS)
def visitor(
    request: pytest.FixtureRequest, new_user: Callable[[], User], new_uri: Callable[[str], str]
) -> Iterator[Visitor]:
    uri = new_uri(request.param)
    made = new_user().project(f"database_uri={uri}", "interface=pages")
    production = {"FLASK_DEBUG": "0", "MAX_CONTENT_LENGTH": "200000"}
    with Project(made.path, {**made.env, **production}).listen() as port:
        assert get(port, "/readyz")[0] == 200
        yield Visitor(port, driver_named(uri))


HOSTILE = ["a\0b", "\x1b[2J", "a\rb", "\x7f"]
REFUSED = {
    "title": [*HOSTILE, "", "  \t ", "\u3000", "x" * 201, "\U0001f600" * 201, "a\nb"],
    "body": [*HOSTILE, "x" * 10_001],
    "tags": [*HOSTILE, "x" * 51, ",".join(map(str, range(21))), "a\nb"],
}
ACCEPTED = [
    "<script>alert('x')</script>",
    "'; DROP TABLE note; --",
    '" OR 1=1',
    "{{ 7 * 7 }}{% raw %}",
    "%s %(x)s \\ %00",
    "\ufffd",  # what a form that is no UTF-8 becomes
    "\U0001f600 İ ß \u202e \u200b \u0301",
    "../../etc/passwd",
    "-1",
    "9" * 50,
    "None",
]


@pytest.mark.parametrize("page", ["new", "edit"])
def test_what_cannot_be_stored_is_explained_and_nothing_of_it_is_stored(
    visitor: Visitor, page: str
) -> None:
    path = visitor.write(tags="old") + "/edit" if page == "edit" else "/notes/new"
    visitor.open(path)
    before = snapshot(visitor.uri)

    for name, values in REFUSED.items():
        for value in values:
            fields = {"title": "Milk", "tags": "new", "version": "1", name: value}
            status, _, answer = visitor.send(path, fields)
            assert status == 422, (name, value, answer)
            assert 'class="error"' in answer
    assert snapshot(visitor.uri) == before


def test_all_other_text_is_stored_and_shown_as_it_was_typed(visitor: Visitor) -> None:
    for text in ACCEPTED:
        path = visitor.write(title=text, body=text, tags=text.replace(",", ""))
        _, _, page = visitor.ask("GET", path)
        assert unescape(page).count(text) >= 3, page
        assert text == unescape(text) or "<script" not in page
        visitor.open(f"{path}/edit")
        values = {"title": text[::-1].strip(), "body": text, "tags": "", "version": "1"}
        assert visitor.send(f"{path}/edit", values)[0] == 302
        assert visitor.ask("GET", f"/notes?q={quote(text)}")[0] == 200
        assert visitor.ask("GET", f"/notes?tag={quote(text)}")[0] == 200


@pytest.mark.thorough
@pytest.mark.parametrize("page", ["new", "edit", "delete"])
def test_what_is_no_form_of_ours_changes_nothing(visitor: Visitor, page: str) -> None:
    path = "/notes/new" if page == "new" else f"{visitor.write()}/{page}"
    visitor.open(path)
    before = snapshot(visitor.uri)
    body = urlencode({"csrf_token": visitor.token, "title": "x", "version": "1"})

    refused = {
        "no token": visitor.ask("POST", path, "title=x", Content_Type=FORM),
        "a wrong token": visitor.ask("POST", path, "csrf_token=x&title=x", Content_Type=FORM),
        "no body": visitor.ask("POST", path),
        "text": visitor.ask("POST", path, body, Content_Type="text/plain"),
        "JSON": visitor.ask("POST", path, '{"title": "x"}', Content_Type="application/json"),
        "a broken form": visitor.ask("POST", path, body, Content_Type="multipart/form-data"),
        "too large": visitor.ask("POST", path, body + "x" * 200_000, Content_Type=FORM),
        "PUT": visitor.ask("PUT", path, body, Content_Type=FORM),
        "DELETE": visitor.ask("DELETE", path),
        "a lie about the length": visitor.ask("POST", path, b"", Content_Length=str(2**40)),
    }
    if page == "edit":
        for version in ("", "0", "2", "x", "9" * 5000):
            fields = {"title": "x", "version": version}
            refused[f"version {version[:9]}"] = visitor.send(path, fields)

    statuses = {what: status for what, (status, _, _) in refused.items()}
    assert {what: status for what, status in statuses.items() if not 400 <= status < 500} == {}
    assert all("<h1>" in page for _, _, page in refused.values())
    assert snapshot(visitor.uri) == before


@pytest.mark.parametrize(
    "number", ["0", "-1", "x", str(2**31), str(2**63), "9" * 5000, "1e3", "%00"]
)
def test_a_note_that_is_not_there_is_not_found(visitor: Visitor, number: str) -> None:
    for page in ("", "/edit", "/delete"):
        for method in ("GET", "POST"):
            status, _, text = visitor.ask(method, f"/notes/{number}{page}")
            assert 400 <= status < 500, (method, page, text)


@pytest.mark.parametrize(
    "query",
    [
        "before=-1",
        f"before={2**63}",
        f"before={'9' * 5000}",
        "before=x",
        "before=%00",
        "page=1",
        "q=" + "x" * 5000,
        "q=%",
        "q=%ED%A0%80",
        "tag=" + "x" * 5000,
        "q=a&q=b",
    ],
)
def test_any_list_can_be_asked_for(visitor: Visitor, query: str) -> None:
    assert visitor.ask("GET", f"/notes?{query}")[0] == 200


def test_a_search_for_what_is_no_text_is_refused(visitor: Visitor) -> None:
    for query in ("q=%00", "tag=a%00b", "q=%1b"):
        assert visitor.ask("GET", f"/notes?{query}")[0] == 400
