"""Windows, as far as another system can show it: its consoles, its paths, its line ends."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from conftest import PROJECT, TEMPLATE, Project, User, load, run

from answers import MAX_SLUG_LENGTH

pytestmark = pytest.mark.thorough

C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
NOT_ALLOWED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')
MAX_PATH_LENGTH = 260  # characters
MODULES = [
    "answers.py",
    "cookiecutter_folders.py",
    "database_uri.py",
    "filters.py",
    "template_extension.py",
    "hooks",
    str((PROJECT / "bin").relative_to(TEMPLATE)),
]


@pytest.mark.parametrize(
    ("encoding", "settings", "name"),
    [
        ("cp1252", {"PYTHONIOENCODING": "cp1252"}, "Été 日本 🎉"),
        ("cp437", {"PYTHONIOENCODING": "cp437"}, "Été 日本 🎉"),
        ("ascii", C_LOCALE, "My App"),  # there Python itself can't read other arguments
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_a_console_with_few_characters_is_enough(
    user: User, encoding: str, settings: dict[str, str], name: str, fails: bool
) -> None:
    user.env |= {"PYTHONUTF8": "0", **settings}
    folder = "missing" if encoding == "ascii" else "日本"
    uri = f"sqlite:///{folder}/data.db" if fails else "sqlite:///data.db"

    def type_in(*command: str | Path) -> str:
        done = subprocess.run(
            command,
            cwd=user.folder,
            env=user.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding=encoding,
        )
        assert done.stderr == ""
        return done.stdout

    answers = f"project_name={name}", f"database_uri={uri}"
    output = type_in("cookiecutter", TEMPLATE, "--no-input", *answers)

    assert f"Setting up {legible(name, encoding)}\n" in output
    assert "  + flask db init " in output
    assert ("  + flask db check " in output) != fails
    if fails:
        (setup,) = user.folder.glob("*/bin/set_up.py")
        for said in (output, type_in(sys.executable, setup)):
            assert f"/{legible(folder, encoding)}/data.db" in said
            assert "DATABASE_URL is set in .env." in said


def legible(text: str, encoding: str) -> str:
    """The text as a console shows it."""
    return text.encode(encoding, "replace").decode(encoding)


def test_a_failed_step_has_a_mark_on_any_console(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = load(PROJECT / "bin" / "set_up.py", monkeypatch)
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")

    with pytest.raises(ZeroDivisionError), setup.step("divide", console):
        raise ZeroDivisionError

    console.seek(0)
    assert console.read().startswith("  ! divide ")


def test_commands_are_printed_as_windows_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = load(PROJECT / "bin" / "set_up.py", monkeypatch)
    monkeypatch.setattr(setup, "WINDOWS", True)
    monkeypatch.setenv("PATH", os.devnull)

    assert setup.quote(r"my_app\bin\set_up.py") == r"my_app\bin\set_up.py"
    assert setup.quote(r"C:\My Files\my_app") == r'"C:\My Files\my_app"'
    assert "  .venv\\Scripts\\activate " in setup.next_steps()


def test_nothing_that_windows_lacks_is_called() -> None:
    done = run(["mypy", "--platform", "win32", *MODULES], cwd=TEMPLATE, env=os.environ)

    assert done.returncode == 0, done.stdout


def test_the_application_calls_nothing_that_windows_lacks(project: Project) -> None:
    project.succeed("uv", "run", "mypy", "--platform", "win32")


def test_names_of_files_are_allowed_and_not_too_long() -> None:
    listed = run(["git", "ls-files"], cwd=TEMPLATE, env=os.environ).stdout.splitlines()

    longest = "x" * MAX_SLUG_LENGTH
    for name in listed:
        rendered = PureWindowsPath(name.replace("{{cookiecutter.project_slug}}", longest))
        assert not any(NOT_ALLOWED.search(part) for part in rendered.parts), name
        assert len(str(rendered)) < MAX_PATH_LENGTH - 60, name  # that of the folder around it
    assert len({name.lower() for name in listed}) == len(listed)


def test_line_ends_are_the_same_everywhere(user: User, repository: Path) -> None:
    clone = user.home / "clone"
    cloned = user.run(
        "git", "-c", "core.autocrlf=true", "clone", "--quiet", str(repository), str(clone)
    )
    assert cloned.returncode == 0, cloned.stdout

    made = user.cookiecutter("--no-input", "set_up_now=no", template=clone)

    assert made.returncode == 0, made.stdout
    written = [path for path in (user.folder / "my_app").rglob("*") if path.is_file()]
    assert written
    assert [path for path in written if b"\r" in path.read_bytes()] == []
