"""The template's own files are in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import TEMPLATE, run


@pytest.mark.parametrize("command", ["ruff format --check --diff", "ruff check", "mypy"])
def test_the_checks_find_nothing(command: str) -> None:
    done = run(command.split(), cwd=TEMPLATE, env=os.environ)

    assert done.returncode == 0, done.stdout


def test_files_name_no_folder_of_a_machine() -> None:
    listed = run(["git", "ls-files"], cwd=TEMPLATE, env=os.environ).stdout.splitlines()

    assert listed
    for name in listed:
        text = (TEMPLATE / name).read_bytes() if (TEMPLATE / name).exists() else b""
        text = text.replace(b"target=/root/.cache/uv", b"")  # in an image
        assert f"{Path.home()}/".encode() not in text, name
        assert f"{TEMPLATE}/".encode() not in text, name
