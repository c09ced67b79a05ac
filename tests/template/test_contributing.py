"""Follows CONTRIBUTING.md as it stands."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from conftest import TEMPLATE, Project, run
from recipes import edit, sections_of

PAGE = TEMPLATE / "CONTRIBUTING.md"


def test_a_question_is_added_step_by_step(repository: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(repository, template)
    copy = Project(template, os.environ)

    for language, block in sections_of(PAGE)["Add a question"]:
        if language == "sh":
            copy.succeed("bash", "-euc", block)
        else:
            edit(copy, block)

    for answers, is_made in (([], False), (["changelog=yes"], True)):
        options = ["--no-input", "--output-dir", str(template / "made"), "--overwrite-if-exists"]
        done = run(
            ["cookiecutter", *options, str(template), "set_up_now=no", *answers],
            cwd=template,
            env=os.environ,
        )
        assert done.returncode == 0, done.stdout
        assert (template / "made" / "my_app" / "CHANGELOG.md").exists() is is_made
    refused = run(
        ["cookiecutter", "--no-input", str(template), "changelog=maybe"],
        cwd=template,
        env=os.environ,
    )
    assert "changelog 'maybe' is neither yes nor no" in refused.stdout


def test_the_tests_that_it_names_exist() -> None:
    named = re.findall(r"tests/[\w/]+(?:\.py)?", PAGE.read_text(encoding="utf-8"))

    assert len(named) > 5
    assert [name for name in named if not (TEMPLATE / name).exists()] == []
