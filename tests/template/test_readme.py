"""Runs the commands of the README as they stand, and compares what it shows with what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import TEMPLATE, Project, User, without_times

README = (TEMPLATE / "README.md").read_text(encoding="utf-8")
START_PAGE = (TEMPLATE / "docs" / "start.md").read_text(encoding="utf-8")
WITH_UV, WITH_PIP, RUN, TEST = re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
OUTPUT, TREE = re.findall(r"^```text\n(.*?)\n```$", START_PAGE, re.MULTILINE | re.DOTALL)


def test_the_readme_is_one_screen() -> None:
    assert 200 < len(README.split()) <= 700
    assert len(re.findall(r"^\| .* \|$", README, re.MULTILINE)) == 11
    assert len(re.findall(r"^- ", README.partition("## Why")[0], re.MULTILINE)) <= 8


@pytest.fixture
def new_machine(user: User, tools: Path, repository: Path) -> User:
    """Return a user who has only Python and git, for whom git finds this repository on GitHub."""
    user.env["PATH"] = str(tools)
    user.env |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/ORG/",
    }
    (repository.parent / "cookiecutter-flask-migrate.git").unlink(missing_ok=True)
    (repository.parent / "cookiecutter-flask-migrate.git").symlink_to(repository)
    return user


def test_the_command_with_pip_makes_a_migrated_application(new_machine: User) -> None:
    done = new_machine.run("bash", "-c", f"{WITH_PIP} --no-input")

    assert done.returncode == 0, done.stdout
    assert "✓ flask db check" in done.stdout
    project = Project(new_machine.folder / "my_app", new_machine.env)
    current = project.succeed("bash", "-c", ". .venv/bin/activate && uv run flask db current")
    assert "(head)" in current


def test_the_command_with_uv_makes_an_application_that_runs(new_machine: User) -> None:
    programs = new_machine.home / "programs"
    programs.mkdir()
    for name in ("uv", "uvx", "realpath"):
        (programs / name).symlink_to(str(shutil.which(name)))
    new_machine.env["PATH"] += os.pathsep + str(programs)
    done = new_machine.run("bash", "-c", f"{WITH_UV} --no-input")
    assert done.returncode == 0, done.stdout

    done = new_machine.run("bash", "-c", RUN.replace("flask run", "flask db current"))

    assert RUN.endswith("flask run")
    assert "(head)" in done.stdout


@pytest.mark.thorough
def test_the_second_command_runs_the_tests(new_machine: User, repository: Path) -> None:
    """With one test of this suite: all of them would run this one, again and again."""
    clone = new_machine.folder / "clone"
    assert new_machine.run("git", "clone", "--quiet", str(repository), str(clone)).returncode == 0

    done = new_machine.run("bash", "-c", f"{TEST} tests/questions/test_answers.py", cwd=clone)

    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)


def test_ci_runs_the_second_command() -> None:
    script = TEMPLATE / ".ci" / "run"

    assert TEST in script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK)


FAKES = {
    "apt-get": 'echo "$@" >> "$0.log"; cp "$0" "${0%/*}/chromium-headless-shell"',
    "faketime": "",
    "id": "echo 0",
    "nginx": "",
    "npm": "",
    "pgbouncer": "",
    "redis-server": "",
    "sqlmap": "",
    "python3": "mkdir -p .venv/bin; for name in pip uv; do ln -sf /bin/true .venv/bin/$name; done",
}


def test_ci_installs_what_is_missing_once(user: User, tools: Path) -> None:
    programs = user.home / "programs"
    programs.mkdir()
    for name in ("cp", "ln"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name, text in FAKES.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    user.env["PATH"] = f"{programs}{os.pathsep}{tools}"
    script = user.folder / ".ci" / "run"
    script.parent.mkdir()
    shutil.copy(TEMPLATE / ".ci" / "run", script)

    for _ in range(2):
        done = user.run("bash", script)
        assert done.returncode == 0, done.stdout

    installed = (programs / "apt-get.log").read_text().splitlines()
    missing = "chromium-headless-shell"
    assert installed == ["update -qq", f"install -qq --yes --no-install-recommends {missing}"]


@pytest.mark.parametrize("name", re.findall(r'src="(\w+\.png)"', START_PAGE))
def test_the_pictures_are_small(name: str) -> None:
    assert (TEMPLATE / "docs" / name).stat().st_size < 60_000


def test_the_output_is_the_real_one(project: Project) -> None:
    assert without_times(OUTPUT) == without_times(project.output)


def test_the_tree_is_the_real_one(project: Project) -> None:
    listed: set[str] = set()
    folders: list[str] = []
    for line in TREE.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        listed.add("".join(folders).partition("/")[2])
    listed.discard("")

    assert all((project.path / name).exists() for name in listed)
    files = project.succeed("git", "ls-files", "--others", "--exclude-standard").splitlines()
    whole_folders = tuple(
        name
        for name in listed
        if name.endswith("/") and not any(o.startswith(name) for o in listed - {name})
    )
    assert [
        name for name in files if name not in listed and not name.startswith(whole_folders)
    ] == []


def test_the_questions_are_the_real_ones() -> None:
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    page = (TEMPLATE / "docs" / "questions.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) \|$", page, re.MULTILINE)

    assert [(name, text) for name, _, text in table] == list(questions["__prompts__"].items())
    for name, default, _ in table:
        if "{{" not in str(questions[name]):
            assert default == questions[name]
