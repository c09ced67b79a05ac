"""Checks that docs/security.md has each requirement once, and names tests that exist."""

from __future__ import annotations

import re

import pytest
from conftest import PROJECT, TEMPLATE

pytestmark = pytest.mark.quick

PAGE = (TEMPLATE / "docs" / "security.md").read_text(encoding="utf-8")
LEVELS_1_AND_2 = 253  # requirements of ASVS 5.0


def test_each_requirement_is_there_once() -> None:
    rows = re.findall(r"^\| ([\d.]+(?:, [\d.]+)*) \|", PAGE, re.MULTILINE)
    requirements = [one for row in rows for one in row.split(", ")]

    assert len(set(requirements)) == len(requirements) == LEVELS_1_AND_2


def test_the_tests_that_it_names_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)

    assert len(named) > 80
    assert [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (PROJECT / "tests" / file).read_text(encoding="utf-8")
    ] == []
