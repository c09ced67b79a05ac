"""The template's own files are in order."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import PROJECT, TEMPLATE, run

pytestmark = pytest.mark.quick


VENDORED = ["flask_generate", "flask_safe_migrations"]


@pytest.mark.parametrize("command", ["ruff format --check --diff", "ruff check", "mypy"])
def test_the_checks_find_nothing(command: str) -> None:
    done = run(command.split(), cwd=TEMPLATE, env=os.environ)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", VENDORED)
@pytest.mark.parametrize("command", ["ruff format --check --diff", "ruff check"])
def test_the_checks_find_nothing_in_what_is_copied(command: str, folder: str) -> None:
    options = ["--config", "pyproject.toml", "--config", "exclude=[]"]
    done = run([*command.split(), *options, PROJECT / "src" / folder], cwd=TEMPLATE, env=os.environ)

    assert done.returncode == 0, done.stdout


def test_files_name_no_folder_of_a_machine() -> None:
    listed = run(["git", "ls-files"], cwd=TEMPLATE, env=os.environ).stdout.splitlines()

    assert listed
    for name in listed:
        text = (TEMPLATE / name).read_bytes() if (TEMPLATE / name).exists() else b""
        text = text.replace(b"target=/root/.cache/uv", b"")  # in an image
        assert f"{Path.home()}/".encode() not in text, name
        assert f"{TEMPLATE}/".encode() not in text, name


WRITTEN = "gallery.md"  # when the site is built: it holds the files of a project
PAGES = sorted(
    {*TEMPLATE.glob("*.md"), *(TEMPLATE / "docs").glob("*.md")} - {TEMPLATE / "docs" / WRITTEN}
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    links = [link for link in links if link != WRITTEN]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_what_contributors_are_told_to_change_is_there() -> None:
    text = (TEMPLATE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w{}./]+/|[\w{}./]+\.\w+)`", text)

    assert len(names) > 10
    assert [name for name in names if not (TEMPLATE / name).exists()] == []
