"""The pages of a project in a real browser, as people use them: by mouse, keyboard and phone.

UPDATE_SCREENSHOTS=1 in the environment remakes the pictures of README.md; add -n0.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browser import Browsing
from conftest import TEMPLATE, Project, User, get
from playwright.sync_api import Locator, Page, expect
from servers import Server
from sqlalchemy import make_url

Make = Callable[[str], tuple[Project, str]]
WINDOW = {"width": 640, "height": 440}
NOTES = {
    "Ideas for the garden": "home",
    "Call the printers": "work",
    "Buy oat milk": "shop",
    "Books to read": "home",
}


def on_database(project: Project, path: Path, **variables: str) -> Project:
    """The same code with another database."""
    url = f"sqlite:///{path}"
    return Project(project.path, {**project.env, "DATABASE_URL": url, **variables})


@pytest.fixture(scope="module")
def database(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a few notes."""
    path = tmp_path_factory.mktemp("data") / "my_app.db"
    on_database(project, path).flask("db", "prepare")
    with closing(sqlite3.connect(path)) as connection, connection:
        for title, tag in NOTES.items():
            connection.execute("INSERT INTO note (title, body) VALUES (?, '')", [title])
            connection.execute("INSERT OR IGNORE INTO tag (name) VALUES (?)", [tag])
            newest = "SELECT max(note.id), tag.id FROM note, tag WHERE name = ?"
            connection.execute(f"INSERT INTO note_tag {newest}", [tag])
    return path


@pytest.fixture(scope="module")
def site(project: Project, database: Path) -> Iterator[int]:
    """The port of the development server."""
    with on_database(project, database).listen() as port:
        get(port, "/healthz")
        yield port


@pytest.fixture(scope="module")
def production(project: Project, database: Path) -> Iterator[int]:
    """The port of gunicorn."""
    with on_database(project, database, FLASK_DEBUG="0").listen("gunicorn") as port:
        get(port, "/healthz")
        yield port


def picture(page: Page, name: str) -> None:
    """Remake a picture of README.md, if that is wanted."""
    if os.environ.get("UPDATE_SCREENSHOTS"):
        page.screenshot(path=TEMPLATE / "docs" / f"{name}.png")


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


@pytest.mark.thorough
def test_a_note_is_written_changed_and_deleted_by_mouse(site: int, browsing: Browsing) -> None:
    page = browsing.open(site, viewport=WINDOW)
    page.goto("/")
    page.evaluate(HIDE_FOLDER)
    picture(page, "home")
    page.get_by_role("link", name="Notes", exact=True).click()
    picture(page, "notes")
    page.get_by_role("link", name="Add a note").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("input:invalid")).to_have_attribute("name", "title")

    page.get_by_label("Title").fill("Milk")
    page.get_by_label("Text").fill("Two litres\n<b>cold</b>")
    page.get_by_label("Tags").fill("x" * 51)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Tags")).to_have_accessible_description(
        "A tag can have at most 50 characters."
    )
    page.get_by_label("Tags").fill("shop, cold")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("“Milk” was saved.")
    expect(page.get_by_role("article")).to_contain_text(
        "Two litres\n<b>cold</b>", use_inner_text=True
    )

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Title").fill("Oat milk")
    page.get_by_role("button", name="Save").click()
    expect(heading(page)).to_have_text("Oat milk")
    page.get_by_role("link", name="#cold").click()
    expect(page.get_by_role("status")).to_contain_text("Notes tagged #cold.")
    page.get_by_role("link", name="Oat milk", exact=True).click()

    page.get_by_role("link", name="Delete").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("“Oat milk” was deleted.")
    expect(page.get_by_role("link", name="Oat milk", exact=True)).to_have_count(0)


# The picture is to name no folder of the machine on which it was made.
HIDE_FOLDER = """() => {
    const place = document.querySelector("dd");
    place.textContent = place.textContent.replace(/\\/.*\\//, "…/instance/");
}"""


def tab_to(target: Locator) -> None:
    """Press the tabulator until the element has the focus, and can be seen to have it."""
    target.wait_for()
    for _ in range(20):
        target.page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert target.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
            return
    pytest.fail(f"{target} can't be reached")


@pytest.mark.thorough
def test_a_note_is_written_changed_and_deleted_by_keyboard(site: int, browsing: Browsing) -> None:
    page = browsing.open(site, color_scheme="dark")
    keyboard = page.keyboard
    page.goto("/")
    tab_to(page.get_by_role("navigation").get_by_role("link", name="Notes"))
    keyboard.press("Enter")
    tab_to(page.get_by_role("link", name="Add a note"))
    keyboard.press("Enter")
    tab_to(page.get_by_label("Title"))
    keyboard.type("Bread")
    tab_to(page.get_by_label("Text"))
    keyboard.type("Brown")
    tab_to(page.get_by_label("Tags"))
    keyboard.type("shop")
    keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("“Bread” was saved.")

    tab_to(page.get_by_role("link", name="Edit"))
    keyboard.press("Enter")
    tab_to(page.get_by_label("Title"))
    keyboard.type("White bread")
    tab_to(page.get_by_role("button", name="Save"))
    keyboard.press("Space")
    expect(heading(page)).to_have_text("White bread")

    tab_to(page.get_by_role("link", name="Delete"))
    keyboard.press("Enter")
    tab_to(page.get_by_role("button", name="Delete"))
    keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("“White bread” was deleted.")


@pytest.mark.thorough
def test_notes_are_searched_and_leafed_through(
    site: int, database: Path, browsing: Browsing
) -> None:
    page = browsing.open(site)
    notes = page.get_by_role("rowheader")
    with closing(sqlite3.connect(database)) as connection, connection:
        zebras = [[f"Zebra {number}"] for number in range(41)]
        connection.executemany("INSERT INTO note (title, body) VALUES (?, 'a herd')", zebras)
    page.goto("/notes")
    page.get_by_label("Search").fill("HERD")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_contain_text("Containing “HERD”.")
    expect(notes).to_have_count(20)
    expect(notes.first).to_have_text("Zebra 40")
    page.get_by_role("link", name="Older").click()
    expect(notes.first).to_have_text("Zebra 20")
    page.get_by_role("link", name="Older").click()
    expect(notes).to_have_text(["Zebra 0"])
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(notes.first).to_have_text("Zebra 40")
    page.get_by_label("Search").fill("nothing like it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("No notes were found.")
    page.get_by_role("link", name="Show all").click()
    expect(notes).to_have_count(20)
    page.get_by_label("Search").fill("garden")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="#home").click()
    expect(notes).to_have_text(["Books to read", "Ideas for the garden"])


@pytest.mark.thorough
def test_of_two_editors_the_second_is_told_and_keeps_the_text(
    site: int, browsing: Browsing
) -> None:
    first, second = browsing.open(site), browsing.open(site)
    for page in (first, second):
        page.goto("/notes?q=Welcome")
        page.get_by_role("link", name="Welcome").click()
        page.get_by_role("link", name="Edit").click()
    first.get_by_label("Text").fill("Of the first")
    first.get_by_role("button", name="Save").click()
    expect(first.get_by_role("status")).to_have_text("“Welcome” was saved.")
    second.get_by_label("Text").fill("Of the second")
    second.get_by_role("button", name="Save").click()

    expect(second.get_by_role("alert")).to_contain_text("This note was changed after you opened it")
    expect(second.get_by_label("Text")).to_have_value("Of the second")
    with second.expect_popup() as theirs:
        second.get_by_role("link", name="the saved version", exact=True).click()
    expect(theirs.value.get_by_role("article")).to_contain_text("Of the first")
    expect(second.get_by_label("Text")).to_have_value("Of the second")
    second.get_by_role("link", name="edit the saved version").click()
    expect(second.get_by_label("Text")).to_have_value("Of the first")


@pytest.mark.thorough
def test_a_revision_that_is_added_is_applied_by_a_button(
    fresh_project: Project, browsing: Browsing
) -> None:
    with fresh_project.listen("flask", "run", "--no-reload") as port:
        get(port, "/healthz")
        page = browsing.open(port, viewport=WINDOW, color_scheme="dark")
        page.goto("/notes")
        expect(heading(page)).to_have_text("Notes")
        page.wait_for_load_state("networkidle")
        fresh_project.flask("db", "revision", "-m", "add price")
        revision = fresh_project.revisions()[-1].name.split("_")[2]

        page.reload()
        expect(heading(page)).to_have_text("Migrations are pending")
        expect(page.get_by_role("listitem")).to_have_text([revision])
        picture(page, "pending")
        page.get_by_role("button").click()
        expect(heading(page)).to_have_text("My App")
        expect(page.get_by_role("definition").nth(1)).to_contain_text(revision)
        page.wait_for_load_state("networkidle")  # the server ends here


@pytest.mark.thorough
def test_a_database_whose_folder_is_missing_is_made_once_there_is_one(
    project: Project, browsing: Browsing, tmp_path: Path
) -> None:
    path = tmp_path / "missing" / "data.db"
    with on_database(project, path).listen() as port:
        get(port, "/healthz")
        page = browsing.open(port)
        page.goto("/notes/new")
        expect(heading(page)).to_have_text("The database is not ready")
        page.get_by_role("button").click()
        expect(page.get_by_text(f"Create its folder, {path.parent}")).to_be_visible()
        path.parent.mkdir()
        page.get_by_role("button").click()
        expect(heading(page)).to_have_text("My App")
        page.wait_for_load_state("networkidle")  # the server ends here


@pytest.mark.thorough
def test_a_database_that_a_server_lacks_is_created_by_a_button(
    on: Make, postgresql: Server, browsing: Browsing
) -> None:
    project, uri = on("postgresql")
    name = make_url(uri).database
    postgresql.run(f"DROP DATABASE {name}")

    with project.listen() as port:
        get(port, "/healthz")
        page = browsing.open(port)
        page.goto("/")
        expect(page.get_by_text(f"There is no database {name}")).to_be_visible()
        page.get_by_role("button").click()
        expect(heading(page)).to_have_text("My App")
        page.get_by_role("link", name="Notes", exact=True).click()
        expect(page.get_by_role("link", name="Welcome")).to_be_visible()
        page.wait_for_load_state("networkidle")  # the server ends here


# A form that no page has: to an address that takes none, or larger than what is taken.
POST = """size => {
    document.body.innerHTML += `<form method="post"><textarea name="body"></textarea></form>`;
    const [form] = [...document.forms].slice(-1);
    form.elements.body.value = "x".repeat(size);
    form.submit();
}"""


@pytest.mark.thorough
@pytest.mark.parametrize("server", ["site", "production"])
def test_an_error_has_a_page_that_leads_back(
    request: pytest.FixtureRequest, server: str, browsing: Browsing
) -> None:
    page = browsing.open(request.getfixturevalue(server))
    for path, size, title in (
        ("/nowhere", None, "Not Found"),
        ("/notes/7000", None, "Not Found"),
        ("/notes?q=%00", None, "Bad Request"),
        ("/", 0, "Method Not Allowed"),
        ("/notes/new", 1_100_000, "Request Entity Too Large"),
        ("/notes/new", 0, "Bad Request"),  # without a token
    ):
        page.goto(path)
        if size is not None:
            page.evaluate(POST, size)
        expect(heading(page)).to_have_text(title)
        page.get_by_role("link", name="Home page").click()
        expect(heading(page)).to_have_text("My App")


@pytest.mark.thorough
def test_in_production_the_pages_work_and_tell_nothing_of_the_machine(
    production: int, browsing: Browsing
) -> None:
    page = browsing.open(production)
    page.goto("/")
    expect(page.get_by_role("main")).not_to_contain_text("Database")
    page.goto("/notes/new")
    page.get_by_label("Title").fill("Bread")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("“Bread” was saved.")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("“Bread” was deleted.")
    page.get_by_role("link", name="API").click()
    expect(page.locator("#api-title")).to_contain_text("My App")


@pytest.mark.thorough
def test_in_production_a_fault_of_the_application_is_told_without_detail(
    project: Project, browsing: Browsing, tmp_path: Path
) -> None:
    broken = on_database(project, tmp_path / "no_tables.db", FLASK_DEBUG="0", WEB_CONCURRENCY="1")
    with broken.listen("gunicorn") as port:
        get(port, "/healthz")
        page = browsing.open(port)
        page.goto("/notes")
        expect(heading(page)).to_have_text("Internal Server Error")
        assert not re.search("traceback|sqlite|table|select", page.content(), re.IGNORECASE)


@pytest.mark.thorough
def test_the_api_alone_has_a_page_that_describes_it(user: User, browsing: Browsing) -> None:
    with user.project("interface=api").listen() as port:
        get(port, "/healthz")
        page = browsing.open(port)
        page.goto("/")
        expect(page.locator("#api-title")).to_contain_text("My App")
        assert page.url.endswith("/api/docs")
        page.get_by_text("/api/notes", exact=True).first.click()
        expect(page.get_by_text("application/json").first).to_be_visible()


BAD = f"""<!DOCTYPE html><html><head><title>Bad</title><style>p {{color: red}}</style></head>
<body><pre>{"wide " * 100}</pre><img src="http://127.0.0.1:9/x.png"><a href="/">x</a></body></html>"""


@pytest.mark.thorough
def test_the_checks_would_find_something(site: int, browsing: Browsing) -> None:
    page = browsing.open(site)
    page.route(
        "**/bad",
        lambda route: route.fulfill(
            body=BAD,
            content_type="text/html",
            headers={"Content-Security-Policy": "style-src 'self'"},
        ),
    )
    page.goto("/bad")

    faults = "\n".join(browsing.faults())

    for fault in (
        "Content Security Policy",
        "another host",
        "Failed to load resource",
        "axe: image-alt",
        "dark: axe: region",
        "html-validate: 1:",
        "scrolls sideways",
        "smaller than 24 pixels",
        "is not dark",
    ):
        assert fault in faults
    browsing.said, browsing.requested = [], []
