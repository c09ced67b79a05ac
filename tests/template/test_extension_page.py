"""Checks that docs/extension.md describes the extension as it is."""

from __future__ import annotations

import inspect
import re

import flask_safe_migrations
import pytest
from conftest import TEMPLATE
from flask_safe_migrations import SafeMigrate, _extension, cli

pytestmark = pytest.mark.quick

PAGE = (TEMPLATE / "docs" / "extension.md").read_text(encoding="utf-8")


def test_it_names_all_that_is_public_and_nothing_else() -> None:
    api = PAGE.partition("## API")[2]
    functions = set(re.findall(r"^\| `(\w+)\(|(?<=, )`(\w+)\(", api, re.MULTILINE))

    names = {name for name, it in vars(flask_safe_migrations).items() if callable(it)}
    assert [name for name in names if f"`{name}" not in api] == []
    assert {a or b for a, b in functions} <= names
    assert len(functions) >= 8


def test_it_gives_the_signature() -> None:
    (written,) = re.findall(r"`SafeMigrate\((app=.*?)\)`", PAGE, re.DOTALL)
    parameters = inspect.signature(SafeMigrate).parameters.values()
    real = [str(one.replace(annotation=one.empty)).replace("'", '"') for one in parameters]

    assert [one for one in " ".join(written.split()).split(", ") if one != "*"] == real


def test_it_lists_the_settings_with_their_defaults() -> None:
    table = dict(re.findall(r"^\| `(MIGRATION_\w+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE))

    assert table == {name: str(value) for name, value in _extension.DEFAULTS.items()}


def test_it_lists_the_commands_that_are_added() -> None:
    listed = re.findall(r"^\| `flask db (\w+)` \|", PAGE, re.MULTILINE)
    added = [
        name
        for name, command in cli.db.commands.items()
        if command.callback and command.callback.__module__ == cli.__name__
    ]

    assert sorted(listed) == sorted(added)
