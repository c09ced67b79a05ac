"""The hooks and the set-up, function by function."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import PROJECT, TEMPLATE, load
from dotenv import dotenv_values

pytestmark = pytest.mark.quick


@pytest.fixture
def pre_gen(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(TEMPLATE / "hooks" / "pre_gen_project.py", monkeypatch)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(PROJECT / "bin" / "set_up.py", monkeypatch)


@pytest.fixture
def clone(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a project that a colleague has cloned."""
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    return tmp_path


def test_secrets_are_for_their_owner_alone(pre_gen: ModuleType, tmp_path: Path) -> None:
    pre_gen.write_env(tmp_path / ".env", "sqlite:///it's.db")

    text = (tmp_path / ".env").read_text()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert "DATABASE_URL='sqlite:///it\\'s.db'\n" in text


def test_each_project_has_a_secret_key_of_its_own(pre_gen: ModuleType, tmp_path: Path) -> None:
    pre_gen.write_env(tmp_path / "a", "sqlite:///a.db")
    pre_gen.write_env(tmp_path / "b", "sqlite:///a.db")

    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_secrets_that_are_there_are_kept(pre_gen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine")

    pre_gen.write_env(tmp_path / ".env", "sqlite:///other.db")

    assert (tmp_path / ".env").read_text() == "mine"


def test_a_listed_file_that_is_missing_is_an_error(hook: ModuleType, tmp_path: Path) -> None:
    answers = {
        "ci": "github",
        "interface": "pages",
        "accounts": "no",
        "project_slug": "my_app",
        "__database": "sqlite",
    }
    with pytest.raises(FileNotFoundError, match=r"\.gitlab-ci\.yml"):
        hook.remove_unchosen(tmp_path, answers)


def test_a_step_says_what_was_done_and_how_long_it_took(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with setup.step("do something"):
        pass

    assert capsys.readouterr().out == f"  ✓ {'do something':<40}   0.0 s\n"


def test_a_failed_step_is_marked(setup: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), setup.step("divide"):
        raise ZeroDivisionError

    assert "✗ divide" in capsys.readouterr().out


def test_a_step_shows_life_on_a_terminal(setup: ModuleType) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with setup.step("wait", terminal):
        setup.time.sleep(0.35)

    assert terminal.getvalue().count("\r") >= 3
    assert terminal.getvalue().endswith("s\n")


def test_a_command_that_is_missing_is_named(setup: ModuleType) -> None:
    with pytest.raises(setup.SetUpError, match=r"^/no/such/command can't be run: No such file"):
        setup.run(["/no/such/command"], {})


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
def test_a_failure_is_summed_up_in_one_line(setup: ModuleType, output: str, summary: str) -> None:
    assert setup.summarize(output) == summary


def test_printed_commands_start_where_the_user_is(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PWD", str(PROJECT.parent))
    assert setup.relative_path(PROJECT) == PROJECT.name
    assert f"cd '{PROJECT.name}'" in setup.next_steps()

    monkeypatch.setenv("PWD", "/elsewhere")
    assert setup.relative_path(PROJECT) == str(PROJECT)

    monkeypatch.setenv("PWD", str(PROJECT))
    assert "cd " not in setup.next_steps()


def test_without_uv_the_next_steps_begin_with_the_environment_that_has_it(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)

    assert ". .venv/bin/activate" in setup.next_steps()


EXAMPLE = """# FLASK_DEBUG=1
SECRET_KEY=
DATABASE_URL={}
# MAIL_URL=
DATABASE_PASSWORD=
"""


def test_a_colleague_gets_new_secrets_for_the_names_of_the_example(
    setup: ModuleType, clone: Path
) -> None:
    (clone / ".env.example").write_text(EXAMPLE.format("sqlite:///app.db"))

    setup.write_env()

    values = dotenv_values(clone / ".env")
    assert len(values["SECRET_KEY"] or "") == len(values["DATABASE_PASSWORD"] or "") == 64
    assert values["SECRET_KEY"] != values["DATABASE_PASSWORD"]
    assert (values["FLASK_DEBUG"], values["DATABASE_URL"]) == ("1", "sqlite:///app.db")
    assert "MAIL_URL" not in values
    assert stat.S_IMODE((clone / ".env").stat().st_mode) == 0o600


def test_a_colleague_is_asked_for_an_address_that_the_example_lacks(
    setup: ModuleType, clone: Path
) -> None:
    (clone / ".env.example").write_text(EXAMPLE.format(""))

    for _ in range(2):
        with pytest.raises(setup.SetUpError, match=r"^DATABASE_URL is empty in \.env: fill it in"):
            setup.write_env()

    written = (clone / ".env").read_text()
    (clone / ".env").write_text(written.replace("URL=", "URL=sqlite:///app.db"))
    setup.write_env()


def test_the_settings_of_a_machine_are_kept(setup: ModuleType, clone: Path) -> None:
    (clone / ".env").write_text("mine")

    setup.write_env()

    assert (clone / ".env").read_text() == "mine"


def test_without_uv_and_pip_the_error_says_where_to_get_uv(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(sys, "executable", "/no/python")

    with pytest.raises(
        setup.SetUpError, match=r"pip can't install uv \(.*\). Install it yourself: https://"
    ):
        setup.install_packages({})


KEPT = """
    PATH HOME HTTPS_PROXY NO_PROXY SSL_CERT_FILE PGPASSFILE
    UV UV_DEFAULT_INDEX UV_INDEX_OURS_USERNAME UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_CACHE_DIR UV_OFFLINE
    UV_HTTP_TIMEOUT UV_INSECURE_HOST UV_NATIVE_TLS UV_SYSTEM_CERTS UV_KEYRING_PROVIDER UV_CONFIG_FILE
    UV_PYTHON UV_PYTHON_DOWNLOADS UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON UV_PYTHON_INSTALL_MIRROR
    PIP_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS PIP_PROXY PIP_CERT PIP_TRUSTED_HOST PIP_CONFIG_FILE
    GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL GIT_SSL_CAINFO GIT_CONFIG_GLOBAL PYTHONUTF8 PYTHONIOENCODING
""".split()
SCRUBBED = """
    VIRTUAL_ENV UV_FROZEN UV_LOCKED UV_PROJECT UV_WORKING_DIR UV_NO_DEV UV_NO_GROUP UV_NO_EDITABLE
    UV_NO_INSTALL_PROJECT UV_NO_SYNC UV_NO_BUILD UV_NO_BINARY UV_SYSTEM_PYTHON UV_PRERELEASE UV_RESOLUTION
    UV_EXCLUDE_NEWER UV_CONSTRAINT UV_OVERRIDE UV_REQUIRE_HASHES UV_PROJECT_ENVIRONMENT UV_ENV_FILE
    PIP_USER PIP_DRY_RUN PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_NO_DEPS
    GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_TEMPLATE_DIR
    PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONWARNINGS PYTHONOPTIMIZE FLASK_APP FLASK_DEBUG
    SECRET_KEY DATABASE_URL MAIL_URL HATCH_BUILD_HOOKS_ONLY
""".split()


def test_of_the_environment_the_commands_get_what_is_not_of_another_project(
    setup: ModuleType, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / ".env.example").write_text(EXAMPLE.format(""))
    monkeypatch.setattr(os, "environ", dict.fromkeys([*KEPT, *SCRUBBED], "x"))

    assert setup.clean_environment() == dict.fromkeys(KEPT, "x")


def test_settings_in_another_encoding_are_reported(setup: ModuleType, clone: Path) -> None:
    (clone / ".env").write_bytes("MAIL_FROM=é@example.org\n".encode("latin-1"))

    with pytest.raises(setup.SetUpError, match=r"^\.env is not UTF-8 text .*: save it as UTF-8\.$"):
        setup.write_env()
