"""Holds the recording in README.md to a real run; with UPDATE_DOCS=1, writes it."""

from __future__ import annotations

import os
import re
from html import unescape

from conftest import QUESTIONS, TEMPLATE, User, at_the_prompt, without_times
from recording import draw, read_lines

RECORDING = TEMPLATE / "docs" / "recording.svg"
ANSWERS = {"project_name": "Inventory", "database_uri": "", "license": ""}


def test_the_recording_shows_a_real_run(user: User) -> None:
    terminal = at_the_prompt(user)

    lines = read_lines(terminal, [ANSWERS.get(question, "") for question in QUESTIONS])

    command = (0.0, "$ uvx cookiecutter gh:ORG/cookiecutter-flask-migrate")
    drawn = draw([command, *lines], TEMPLATE / "docs" / "home.png")
    if os.environ.get("UPDATE_DOCS") == "1":
        RECORDING.write_text(drawn, encoding="utf-8")
    recorded = RECORDING.read_text(encoding="utf-8")
    shown = [
        unescape(re.sub(r"<.*?>", "", text))
        for text in re.findall(r"<text[^>]*>(.*?)</text>", recorded)
    ]
    assert [without_times(text) for text in shown[1:]] == [without_times(text) for _, text in lines]
    assert any("✓ flask db upgrade" in text for text in shown)
    assert RECORDING.stat().st_size < 300_000
