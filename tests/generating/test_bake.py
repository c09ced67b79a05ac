"""The files that cookiecutter writes, before anything is installed."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from conftest import TEMPLATE, Bake, User, run, text_files

from answers import INTERFACES

pytestmark = pytest.mark.quick

# Folders that are copied as they are.
VENDORED = {"flask_generate", "flask_safe_migrations", "pico", "rapidoc"}


def test_the_files_are_those_of_the_template(bake: Bake) -> None:
    project = bake(accounts="yes")

    template = TEMPLATE / "{{cookiecutter.project_slug}}"
    expected = {
        str(path.relative_to(template)).replace("{{cookiecutter.project_slug}}", "my_app")
        for path in template.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected -= {".gitlab-ci.yml", ".devcontainer/compose.yaml"}  # of other answers
    assert {str(path.relative_to(project)) for path in text_files(project)} == expected | {".env"}


@pytest.mark.parametrize("accounts", ["no", "yes"])
def test_no_jinja_of_the_template_is_left(bake: Bake, accounts: str) -> None:
    left = [
        (path.name, line)
        for path in text_files(bake(accounts=accounts))
        if not VENDORED & {*path.parts}
        for line in path.read_text(encoding="utf-8").splitlines()
        if "cookiecutter" in line.replace("ORG/cookiecutter-flask-migrate/blob/", "")  # a link
        or ("templates" not in path.parts and re.search(r"(?<!\$){{|{%|{#", line))
    ]

    assert left == []


# Words that belong to one interface alone.
TRACES = {
    "pages": r"wtf|csrf|flash|session_cookie|NoteForm|base\.html|home\.html|pending\.html",
    # Settings are checked by marshmallow in each project.
    "api": r"\bapi\b|apiflask|flask.marshmallow|rapidoc|smorest|problem\+json|openapi",
}


@pytest.mark.parametrize(("chosen", "other"), [("pages", "api"), ("api", "pages")])
def test_of_an_interface_that_was_not_chosen_there_is_no_trace(
    bake: Bake, chosen: str, other: str
) -> None:
    project = bake(interface=chosen)

    found = [
        (path.name, line)
        for path in text_files(project)
        if not VENDORED & {*path.parts}
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(TRACES[other], f"{path.name} {line}", re.IGNORECASE)
    ]
    assert found == []


NAMES = ["My App", "it's", 'The "best" app', "back\\slash", "Été 2024 🎉", "a" * 50, "z"]


@pytest.mark.parametrize(
    "answers",
    [{"project_name": name} for name in NAMES]
    + [{"interface": interface} for interface in INTERFACES]
    + [{"accounts": "yes", "interface": interface} for interface in ("pages", "pages+api")],
)
def test_the_formatter_and_the_linter_find_nothing(
    bake: Bake, user: User, answers: dict[str, str]
) -> None:
    project = bake(**answers)

    for command in (["ruff", "format", "--check", "--diff"], ["ruff", "check"]):
        done = run(command, cwd=project, env=user.env)
        assert done.returncode == 0, done.stdout


def test_the_formatter_and_the_linter_would_find_something(bake: Bake, user: User) -> None:
    project = bake()
    (project / "src" / "my_app" / "health.py").write_text("import  os\n")

    assert run(["ruff", "format", "--check"], cwd=project, env=user.env).returncode == 1
    assert run(["ruff", "check"], cwd=project, env=user.env).returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_answers_arrive_unchanged(bake: Bake, name: str) -> None:
    project = bake(project_name=name, description=name, author_name=name)

    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["description"] == name
    assert metadata["authors"] == [{"name": name, "email": "you@example.com"}]
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


def test_a_project_that_is_not_set_up_says_how(
    bake: Bake, capfd: pytest.CaptureFixture[str]
) -> None:
    project = bake()

    assert (project / "bin" / "set_up.py").exists()
    assert not (project / "migrations").exists()
    assert re.search(r"^  \S+ .*my_app/bin/set_up\.py$", capfd.readouterr().out, re.MULTILINE)


def test_every_question_has_a_default_and_a_text() -> None:
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = [name for name in questions if not name.startswith("_")]

    assert asked == list(questions["__prompts__"])
    assert all(questions[name] not in ("", None) for name in asked)
