"""The hooks and the set-up, function by function."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import PROJECT, load

pytestmark = pytest.mark.quick


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(PROJECT / "set_up.py", monkeypatch)


def test_secrets_are_for_their_owner_alone(hook: ModuleType, tmp_path: Path) -> None:
    hook.write_env(tmp_path / ".env", "sqlite:///it's.db")

    text = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert "DATABASE_URL='sqlite:///it\\'s.db'\n" in text


def test_each_project_has_a_secret_key_of_its_own(hook: ModuleType, tmp_path: Path) -> None:
    hook.write_env(tmp_path / "a", "sqlite:///a.db")
    hook.write_env(tmp_path / "b", "sqlite:///a.db")

    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_secrets_that_are_there_are_kept(hook: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine")

    hook.write_env(tmp_path / ".env", "sqlite:///other.db")

    assert (tmp_path / ".env").read_text() == "mine"


def test_a_step_says_what_was_done_and_how_long_it_took(
    set_up: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with set_up.step("do something"):
        pass

    assert capsys.readouterr().out == f"  ✓ {'do something':<40}   0.0 s\n"


def test_a_failed_step_is_marked(set_up: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), set_up.step("divide"):
        raise ZeroDivisionError

    assert "✗ divide" in capsys.readouterr().out


def test_a_step_shows_life_on_a_terminal(set_up: ModuleType) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with set_up.step("wait", terminal):
        set_up.time.sleep(0.35)

    assert terminal.getvalue().count("\r") >= 3
    assert terminal.getvalue().endswith("s\n")


def test_a_command_that_is_missing_is_named(set_up: ModuleType) -> None:
    with pytest.raises(set_up.SetUpError, match=r"^/no/such/command can't be run: No such file"):
        set_up.run(["/no/such/command"], {})


@pytest.mark.parametrize(
    ("output", "summary"),
    [
        (
            "Resolved 3 packages\nerror: No `pyproject.toml` found\n",
            "error: No `pyproject.toml` found",
        ),
        (
            "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `x`\n",
            "error: Request failed after 3 retries Caused by: Failed to fetch: `x`",
        ),
        ("Traceback (most recent call last):\nValueError: no", "ValueError: no"),
        ("warning: old\nfatal: not a repository", "fatal: not a repository"),
        ("", ""),
        (
            f"error: {'a' * 900}\n  Caused by: No space left",
            f"error: {'a' * 293} … {'a' * 275} Caused by: No space left",
        ),
    ],
)
def test_a_failure_is_summed_up_in_one_line(set_up: ModuleType, output: str, summary: str) -> None:
    assert set_up.summary(output) == summary


def test_printed_commands_start_where_the_user_is(set_up: ModuleType) -> None:
    parent = PROJECT.parent

    assert set_up.seen_from(parent, PROJECT) == PROJECT.name
    assert set_up.seen_from(Path("/elsewhere"), PROJECT) == str(PROJECT)
    assert f"cd '{PROJECT.name}'" in set_up.next_steps(parent)
    assert "cd " not in set_up.next_steps(PROJECT)


def test_without_uv_the_next_steps_begin_with_the_environment_that_has_it(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)

    assert ". .venv/bin/activate" in set_up.next_steps(PROJECT)


def test_without_uv_and_pip_the_user_is_told_where_to_get_uv(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(sys, "executable", "/no/python")

    with pytest.raises(
        set_up.SetUpError, match=r"pip can't install uv \(.*\). Install it yourself: https://"
    ):
        set_up.install_packages({})
