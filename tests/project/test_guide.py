"""Follows the guide in the README of a project, and runs the commands of its AGENTS.md."""

from __future__ import annotations

import re
import shutil

import pytest
from conftest import CHOICES, Bake, Project, User, check
from recipes import finish, sections_of

from answers import INTERFACES

RECIPES = {
    "Add a model": INTERFACES,
    "Add a page": ("pages+api", "pages"),
    "Add an endpoint": ("pages+api", "api"),
    "Add a command": INTERFACES,
    "Add a setting": INTERFACES,
    "Work in the background": INTERFACES,
    "Add a dependency": INTERFACES,
    "Change a model that has rows": INTERFACES,
    "Deleting the example": INTERFACES,
}
for_each_choice = pytest.mark.parametrize(("interface", "accounts"), CHOICES)


def lines_to_write(blocks: list[tuple[str, str]]) -> list[str]:
    """Return the lines that a recipe has its reader write, without those of its test."""
    written = []
    for language, block in blocks:
        name, *lines = block.splitlines()
        if language == "sh":
            written += block.splitlines()
        elif not name.startswith("# tests/test_"):
            written += [line for line in lines if line.strip("+") and not line.startswith(" ")]
    return written


@pytest.mark.quick
@for_each_choice
def test_the_recipes_are_short(bake: Bake, interface: str, accounts: str) -> None:
    project = bake(interface=interface, accounts=accounts)
    text = (project / "README.md").read_text(encoding="utf-8")
    recipes = sections_of(project / "README.md")
    first_screen = text.partition("## Guide")[0]

    assert len(re.findall("^    ", first_screen, re.MULTILINE)) <= 10
    assert [title for title in recipes if title in RECIPES] == [
        title for title, interfaces in RECIPES.items() if interface in interfaces
    ]
    assert recipes.keys() - {*RECIPES} == {"Guide", "Deploy"}
    for title, blocks in recipes.items():
        assert len(lines_to_write(blocks)) <= 10, title
    assert "\n\n\n" not in re.sub(r"```.*?```", "block", text, flags=re.DOTALL)
    assert "template" not in text.replace("templates", "").replace("cookiecutter-flask-migrate", "")


@pytest.mark.quick
@for_each_choice
def test_sixty_lines_tell_tools_how_to_work_here(bake: Bake, interface: str, accounts: str) -> None:
    project = bake(interface=interface, accounts=accounts)
    lines = (project / "AGENTS.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| `")]

    assert 30 < len(lines) <= 60
    assert (project / "CLAUDE.md").read_text(encoding="utf-8") == "@AGENTS.md\n"
    names = {name for row in rows for name in re.findall("`(.*?)`", row)} - {"migrations/versions/"}
    package = project / "src" / "my_app"
    assert len(names) > 8
    assert [
        name for name in names if not ((project / name).exists() or (package / name).exists())
    ] == []


def delete_example(project: Project) -> None:
    """Do what the README says in the order of its steps."""
    text = (project.path / "README.md").read_text(encoding="utf-8")
    section = text.partition("### Deleting the example\n")[2].partition("\n## ")[0]
    first, *edits, sort, migrate = re.findall(r"^\d\. (.*(?:\n .*)*)", section, re.MULTILINE)
    shutil.rmtree(project.path / "src" / "my_app" / "notes")
    for name in re.findall(r"`(\w+\.py)`", first):
        (project.path / "tests" / name).unlink()
    for step in edits:
        files = re.findall(r"`([\w/]+\.\w+)`", step)
        for file in files:
            path = project.path / file
            path = path if path.exists() else project.path / "src" / "my_app" / file
            words = re.findall("`(notes|Note|Tag)`", step)
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not re.search("|".join(words), line)]
            assert len(kept) < len(lines)
            path.write_text("".join(kept), encoding="utf-8")
    for command in re.findall("`(uv run [^`]+)`", sort + migrate):
        project.succeed("bash", "-euc", command)


ADD_NOTE = """
from my_app import create_app
from my_app.notes.models import Note, db

app = create_app()
with app.app_context():
    note = Note(title="Milk", body="")
    if security := app.extensions.get("security"):
        security.datastore.create_user(email="ann@example.com", password="")
        note.owner_id = 1
    db.session.add(note)
    db.session.commit()
"""
PRINT_RANK = """
from my_app import create_app
from my_app.notes.models import Note, db

with create_app().app_context():
    print(db.session.query(Note.rank).filter_by(title="Milk").scalar())
"""


@pytest.mark.weekly
@for_each_choice
def test_after_each_recipe_all_checks_pass(user: User, interface: str, accounts: str) -> None:
    project = user.project(f"interface={interface}", f"accounts={accounts}")
    sections = sections_of(project.path / "README.md")
    *recipes, last = [title for title in sections if title in RECIPES]
    project.succeed("uv", "run", "python", "-c", ADD_NOTE)

    for title in recipes:
        finish(project, title, sections=sections)
        check(project)

    assert project.succeed("uv", "run", "python", "-c", PRINT_RANK).splitlines()[-1] == "0"
    assert last == "Deleting the example"
    (project.path / "tests" / "test_newest_notes.py").unlink(missing_ok=True)
    delete_example(project)
    check(project)


@pytest.mark.thorough
@for_each_choice
def test_the_example_can_be_deleted(user: User, interface: str, accounts: str) -> None:
    project = user.project(f"interface={interface}", f"accounts={accounts}")
    project.flask("generate", "model", "shelf", "name:string")  # it uses nothing that others share

    delete_example(project)

    check(project)
    with project.serve() as get:
        status, page = get("/")
        assert status == 302 if interface == "api" else "otes" not in page


@pytest.mark.thorough
def test_the_commands_for_tools_work(fresh_project: Project) -> None:
    ((_, commands),) = sections_of(fresh_project.path / "AGENTS.md")["Commands"]

    for command in commands.splitlines():
        if command != "uv run poe check":  # its audit needs the network
            fresh_project.succeed("bash", "-euc", command)
    assert "uv run poe check" in commands
