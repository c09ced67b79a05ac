"""`flask db diagram` draws the models, and the tests of the project notice when one has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import npm_install
from conftest import BODY, MODELS, PRICE, Project
from playwright.sync_api import Browser

PAGE = Path("docs", "schema.md")
TEST = "tests/test_migrations.py::test_the_diagram_is_up_to_date"


def test_the_diagram_is_that_of_the_models(fresh_project: Project) -> None:
    project = fresh_project
    assert project.flask("db", "diagram", "--check") == "Nothing is out of date.\n"
    project.succeed("uv", "run", "pytest", "-q", TEST)

    assert project.flask("db", "diagram") == "Wrote docs/schema.md\n"

    page = (project.path / PAGE).read_text()
    assert "```mermaid\nerDiagram\n" in page
    assert "\nnote {\n" in page
    assert "VARCHAR(200) title" in page
    assert "}\nnote 1--0+ note_tag : has\ntag 1--0+ note_tag : has\n```" in page
    assert "http" not in page
    project.succeed("uv", "run", "pytest", "-q", TEST)

    project.replace(MODELS, BODY, BODY + PRICE)
    failed = project.run("uv", "run", "pytest", "-q", TEST)
    assert failed.returncode == 1
    assert "docs/schema.md is out of date. Run: flask db diagram" in failed.stdout
    project.flask("db", "diagram")
    project.succeed("uv", "run", "pytest", "-q", TEST)


@pytest.mark.thorough
def test_mermaid_can_draw_it(fresh_project: Project, chromium: Browser, tmp_path: Path) -> None:
    project = fresh_project
    fields = ("price:decimal", "cover:enum(hard,soft)", "code:uuid", "next:references?:book")
    project.flask("generate", "resource", "book", "title:string:unique", "notes:many", *fields)
    project.flask("db", "diagram")
    diagram = (project.path / PAGE).read_text().partition("```mermaid\n")[2].partition("```")[0]
    assert "book one or zero--0+ book : has" in diagram
    npm_install(tmp_path, "mermaid@11")

    page = chromium.new_page()
    page.goto("about:blank")
    page.add_script_tag(path=tmp_path / "node_modules" / "mermaid" / "dist" / "mermaid.min.js")
    drawn = page.evaluate("async text => (await mermaid.render('id', text)).svg", diagram)

    assert "book" in drawn
    assert "note_tag" in drawn
