"""A program that calls `cookiecutter.main.cookiecutter` finds its own process as it was."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import TEMPLATE, User
from passwords import BEGINNING, QUOTED

ADDRESS = f"postgresql://me:{QUOTED}@localhost/shop"
PROGRAM = """
import json, os, signal, sys
import cookiecutter.main, jinja2
def own_excepthook(*error): print("own")
sys.excepthook = own_excepthook
def state():
    return {
        "environment": dict(os.environ),
        "excepthook": sys.excepthook,
        "signals": [signal.getsignal(number) for number in (1, 2, 15)],
        "stdin": sys.stdin.errors,
        "stdout": sys.stdout.errors,
        "cookiecutter": dict(vars(cookiecutter.main)),
        "jinja": dict(vars(jinja2.Environment)),
    }
template, answers, config = json.loads(sys.argv[1])
before = state()
try:
    cookiecutter.main.cookiecutter(template, no_input=True, extra_context=answers, config_file=config)
except (Exception, SystemExit) as end:
    print(end)
after = state()
print("CHANGED:", [name for name in before if before[name] != after[name]])
"""
CASES = {
    "a project is made": {},
    "an answer is refused": {"project_slug": "class"},
    "an answer after the address is refused": {"interface": "x"},
    "the project exists": {"project_slug": "existing"},
}


def call(user: User, config: str | None = None, **answers: str) -> str:
    given = {"database_uri": ADDRESS, "set_up_now": "no", **answers}
    arguments = json.dumps([str(TEMPLATE), given, config])
    return user.run(sys.executable, "-c", PROGRAM, arguments).stdout


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_changed_in_the_process(case: str, user: User) -> None:
    (user.folder / "existing").mkdir()
    user.env["PYTHONIOENCODING"] = "utf-8:strict"  # as in most locales

    output = call(user, **CASES[case])

    assert output.endswith("CHANGED: []\n"), output
    assert ("already exists" in output) == (case == "the project exists")
    assert BEGINNING not in output


def test_a_record_in_a_folder_of_the_program_is_noted(user: User) -> None:
    config = user.home / "config.yaml"
    config.write_text(json.dumps({"replay_dir": str(user.home / "records")}))
    note = "Note: cookiecutter's replay file holds the password"

    assert note in call(user, str(config))
    assert note not in call(user, project_slug="other")
