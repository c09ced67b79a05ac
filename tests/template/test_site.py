"""Builds the documentation site as `.github/workflows/docs.yml` does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import flask_safe_migrations
import pytest
from conftest import TEMPLATE, run

DOCS = TEMPLATE / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
COMMAND = "sphinx-build -W --keep-going docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = run([*COMMAND.split(), folder], cwd=TEMPLATE, env=os.environ)
    assert done.returncode == 0, done.stdout
    return folder


def test_the_site_has_each_page_and_a_search(site: Path) -> None:
    assert [name for name in PAGES if not (site / f"{name}.html").exists()] == []
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in index for name in ("migrations", "extension", "questions"))


def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    texts = {
        page.name: re.sub(r"<pre>.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for page in site.glob("*.html")
    }
    links = {
        (name, link, anchor)
        for name, text in texts.items()
        for link, anchor in re.findall(r'(?:href|src)="(?![a-z]+:)([^"#?]*)[^"#]*#?([^"]*)"', text)
    }

    assert len(links) > 100
    assert [found for found in links if found[1] and not (site / found[1]).exists()] == []
    assert [
        (name, link, anchor)
        for name, link, anchor in links
        if anchor and f'id="{anchor}"' not in texts.get(link or name, f'id="{anchor}"')
    ] == []


def test_a_generated_project_can_be_read(site: Path) -> None:
    text = re.sub(r"<.*?>", "", (site / "gallery.html").read_text(encoding="utf-8"))

    for name in ("src/my_app/__init__.py", "src/my_app/notes/models.py", "migrations/env.py"):
        assert name in text
    assert "def create_app(" in text
    assert "SECRET_KEY=" not in text.partition(".env.example")[0]


def test_the_extension_is_documented_from_its_docstrings(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    names = [name for name, it in vars(flask_safe_migrations).items() if callable(it)]

    assert len(names) > 10
    assert [name for name in names if f'id="flask_safe_migrations.{name}"' not in text] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_with_what_its_reader_wants(name: str) -> None:
    title, _, text = (DOCS / f"{name}.md").read_text(encoding="utf-8").partition("\n")

    if name not in ("changelog", "contributing", "index", "gallery"):
        assert title.startswith("# ")
        assert text.lstrip().startswith("You "), f"docs/{name}.md"


def test_the_workflow_publishes_what_was_built() -> None:
    workflow = (TEMPLATE / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8")

    assert COMMAND in workflow
