"""What `flask generate resource` has written is used by people in a browser, and by programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from browser import Browsing
from clients import run_schemathesis
from conftest import Project, User, copied, get
from playwright.sync_api import expect

pytestmark = pytest.mark.thorough

FIELDS = (
    *("title:string", "isbn:string:unique", "pages:integer?", "price:decimal", "lent:boolean"),
    *("published:date", "cover:enum(hard,soft)", "blurb:text", "link:url?", "shelf:references"),
    "others:many:shelf",
)
# No references, and no datetime: no schema says which rows there are, and that years are 1000 to 2999.
VALUES = (
    *("title:string", "mail:email?", "minutes:integer", "sold:bigint?", "price:decimal"),
    *("score:float", "made:date", "starts:time", "code:uuid?", "extra:json", "scan:binary?"),
)
BOOK = {
    "title": "Emma",
    "isbn": "1",
    "price": "9.50",
    "lent": False,
    "published": "1815-12-23",
    "cover": "hard",
    "shelf_id": 1,
}


@pytest.fixture(scope="module")
def port(original: Callable[[str], Project], new_user: Callable[[], User]) -> Iterator[int]:
    """The port of a server with shelves and books."""
    project = copied(original("sqlite"), new_user())
    for name, fields in (("shelf", ["name:string:unique"]), ("book", FIELDS), ("film", VALUES)):
        project.flask("generate", "resource", name, *fields)
        project.flask("db", "migrate", "-m", f"add {name}")
        project.flask("db", "upgrade")
    with Project(project.path, {**project.env, "FLASK_DEBUG": "0"}).listen() as port:
        assert get(port, "/readyz")[0] == 200
        yield port


def test_a_book_is_written_found_changed_and_deleted_in_a_browser(
    port: int, browsing: Browsing
) -> None:
    page = browsing.open(port)
    page.goto("/")
    page.get_by_role("link", name="Shelves").click()
    expect(page.get_by_role("main")).to_contain_text("There are no shelves yet.")
    page.get_by_role("link", name="Add the first one").click()
    page.get_by_label("Name").fill("Novels")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("“Novels” was saved.")

    page.get_by_role("link", name="Books").click()
    page.get_by_role("link", name="Add a book").click()
    for label, value in (
        ("Title", "Emma"),
        ("Isbn", "1"),
        ("Price", "99999999999"),
        ("Blurb", "Long"),
    ):
        page.get_by_label(label).fill(value)
    page.get_by_label("Published").fill("1815-12-23")
    page.locator("form").last.evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Price")).to_have_accessible_description(
        re.compile("Number must be between")
    )
    expect(page.get_by_label("Title")).to_have_value("Emma")
    page.get_by_label("Price").fill("9.50")
    page.get_by_label("Shelf").select_option("Novels")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("article")).to_contain_text("1815-12-23")
    expect(page.get_by_role("article").get_by_role("link", name="Novels")).to_be_visible()

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Title").fill("Persuasion")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("“Persuasion” was saved.")
    page.get_by_role("link", name="Books").click()
    page.get_by_label("Search").fill("PERSU")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("rowheader")).to_have_text(["Persuasion"])
    page.get_by_label("Search").fill("Emma")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("main")).to_contain_text("No books were found.")

    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="Persuasion").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("“Persuasion” was deleted.")


def ask(
    port: int, method: str, path: str, values: object = None, etag: str = ""
) -> tuple[int, str, Any]:
    """Send a request: (status, ETag, content)."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"If-Match": etag} if etag else {})
    connection.request(method, path, json.dumps(values), headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers["ETag"] or "", json.loads(body or b"null")


def test_a_book_is_written_found_changed_and_deleted_by_a_program(port: int) -> None:
    shelf = ask(port, "POST", "/api/shelves", {"name": "Poems"})[2]["id"]
    book = BOOK | {"shelf_id": shelf, "price": "9.5"}  # stored with two places

    status, etag, made = ask(port, "POST", "/api/books", book)
    assert status == 201
    path = f"/api/books/{made['id']}"
    assert ask(port, "GET", path)[2] == made
    assert [found["id"] for found in ask(port, "GET", "/api/books?q=EMMA")[2]["items"]] == [
        made["id"]
    ]
    assert ask(port, "POST", "/api/books", book)[0] == 409
    assert ask(port, "DELETE", f"/api/shelves/{shelf}", etag="*")[0] == 409

    status, new_etag, changed = ask(port, "PUT", path, book | {"title": "Persuasion"}, etag)
    assert (status, changed["title"]) == (200, "Persuasion")
    assert ask(port, "DELETE", path, etag=etag)[0] == 412
    assert ask(port, "DELETE", path, etag=new_etag)[0] == 204
    assert ask(port, "GET", path)[0] == 404


def test_schemathesis_finds_no_fault(port: int, tmp_path: Path) -> None:
    only = "--include-path-regex=^/api/(films|shelves)"

    printed = run_schemathesis(tmp_path, port, "--max-examples=10", only)

    (cases,) = re.findall(r"(\d+) generated, \1 passed", printed)
    assert int(cases) > 200
