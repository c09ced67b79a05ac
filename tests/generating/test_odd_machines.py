"""On a machine that lacks something, or has too much: a project that works, or an error message."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BODY, IDENTITY, MODELS, PRICE, TEMPLATE, Project, User, commands_printed_by
from reliability import report

pytestmark = pytest.mark.thorough

Disk = Callable[..., Path]
ODD = "Odd machines"
STRAY = ["json", "secrets", "shutil", "pathlib", "typing", "set_up", "subprocess", "tempfile"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A function that mounts a small disk, or mounts it again with other options."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(size: str, *options: str) -> Path:
        what = ",".join([f"size={size}", *(["remount"] if path.is_mount() else []), *options])
        command = ["mount", "-t", "tmpfs", "-o", what, "none", str(path)]
        if subprocess.run(command, check=False).returncode:
            pytest.skip("needs an administrator, who may mount a small disk")
        return path

    yield mount
    if path.is_mount():
        subprocess.run(["umount", path], check=True)


def in_one_line(user: User, says: str) -> None:
    """Make a project, which is refused in one line."""
    done = user.cookiecutter("--no-input")
    assert done.returncode == 1
    assert done.stdout.startswith("Error: ")
    assert done.stdout.count("\n") == 1
    assert says in done.stdout
    assert not list(user.folder.iterdir())


def explained(user: User, says: str, *answers: str) -> str:
    """Make a project that can't be set up, and return the one command that is printed."""
    done = user.cookiecutter("--no-input", *answers)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert says in done.stdout
    (command,) = commands_printed_by(done.stdout)
    return command


def finish(user: User, command: str) -> None:
    done = user.run("bash", "-c", command)
    assert "✓ flask db check" in done.stdout, done.stdout


def works(project: Project) -> None:
    assert "Traceback" not in project.output
    assert "✓ flask db check" in project.output
    assert "(head)" in project.flask("db", "current")


def test_a_folder_or_a_home_that_cannot_be_written(user: User, disk: Disk) -> None:
    home, user.env["HOME"] = user.env["HOME"], str(disk("1m", "ro"))
    in_one_line(user, "Read-only file system")
    report(ODD, "the home is read-only", "refused in one line")

    user.folder, user.env["HOME"] = disk("1m", "ro"), home
    in_one_line(user, "Read-only file system")
    report(ODD, "the folder is read-only", "refused in one line")


def test_a_full_home(user: User, disk: Disk) -> None:
    user.env["HOME"] = str(disk("16k"))
    in_one_line(user, "the disk is full")
    report(ODD, "no room for the answers", "refused in one line, nothing written")


@pytest.mark.weekly
def test_a_full_disk(user: User, disk: Disk) -> None:
    user.folder = disk("1m")
    in_one_line(user, "the disk is full")
    report(ODD, "no room for the files", "refused in one line, nothing written")

    disk("20m")
    command = explained(user, "No space left on device")
    disk("1g")
    finish(user, command)
    report(ODD, "no room for the packages", "explained, finished by one command")


def test_a_full_disk_under_the_database(user: User, disk: Disk) -> None:
    path = disk("16k")
    (path / "others").write_bytes(b"x" * 14_000)
    command = explained(user, "database or disk is full", f"database_uri=sqlite:///{path}/data.db")
    assert (path / "others").read_bytes() == b"x" * 14_000
    disk("1m")
    finish(user, command)
    report(ODD, "no room for the database", "explained, finished by one command")


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_git(user: User, tools: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("uv", "cookiecutter"):
        (tmp_path / "bin" / name).symlink_to(Path(sys.prefix) / "bin" / name)
    for tool in tools.iterdir():
        if tool.name != "git":
            (tmp_path / "bin" / tool.name).symlink_to(tool)
    user.env["PATH"] = str(tmp_path / "bin")
    project = user.project()

    assert not (project.path / ".git").exists()
    works(project)
    report(ODD, "no git", "set up, without a repository")


def test_with_a_git_that_knows_no_option(user: User, tmp_path: Path) -> None:
    program(tmp_path / "bin", "git", 'echo "error: unknown option" >&2; exit 129')
    user.env["PATH"] = f"{tmp_path / 'bin'}:{user.env['PATH']}"
    project = user.project()

    assert "✗ git init" in project.output
    works(project)
    report(ODD, "a git that knows none of the options", "set up, without a repository")


@pytest.mark.parametrize(
    ("case", "script", "says"),
    [
        ("a uv that fails", "echo broken; exit 7", "broken"),
        ("a uv that crashes", "kill -SEGV $$", "The step was ended by SIGSEGV."),
        ("a uv that does nothing", "exit 0", ".venv/bin/python"),
    ],
)
def test_with_a_broken_uv(user: User, tmp_path: Path, case: str, script: str, says: str) -> None:
    path = user.env["PATH"]
    program(tmp_path / "bin", "uv", script)
    user.env["PATH"] = f"{tmp_path / 'bin'}:{path}"
    command = explained(user, says)
    user.env["PATH"] = path
    finish(user, command)
    report(ODD, case, "explained, finished by one command")


def test_with_an_empty_path(user: User) -> None:
    path, user.env["PATH"] = user.env["PATH"], ""
    done = user.run(sys.executable, "-m", "cookiecutter", str(TEMPLATE), "--no-input")
    assert "Traceback" not in done.stdout
    user.env["PATH"] = path
    (command,) = commands_printed_by(done.stdout)
    finish(user, command)
    report(ODD, "an empty PATH", "explained, finished by one command")


def others(folder: Path) -> dict[Path, bytes]:
    """The files that are not of the project, nor uv's own record of the packages."""
    found = [*folder.glob("*"), *(folder / ".git").rglob("*")]
    return {path: path.read_bytes() for path in found if path.is_file() and path.name != "uv.lock"}


def test_what_is_around_is_neither_followed_nor_changed(user: User, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    user.run("git", "init", "--quiet")
    user.env |= IDENTITY
    members = '[project]\nname = "around"\nversion = "1"\nrequires-python = ">=3.11"\n[tool.uv.workspace]\nmembers = ["*"]\n'
    (user.folder / "pyproject.toml").write_text(members)
    (user.folder / ".env").write_text(f"DATABASE_URL=sqlite:///{elsewhere}\nFLASK_DEBUG=0\n")
    (user.folder / ".flaskenv").write_text("FLASK_APP=nothing\n")
    before = others(user.folder)
    project = user.project()

    assert others(user.folder) == before
    assert (project.path / "instance" / "my_app.db").exists()
    assert (user.folder / ".venv").exists()  # of the workspace, where uv run looks for it
    assert "The project is in a uv workspace" in project.output
    assert not elsewhere.exists()
    works(project)
    report(
        ODD,
        "in a git repository and a uv workspace, under a .env",
        "set up; of others' files only uv.lock is changed",
    )


def test_a_path_with_spaces_and_letters_that_is_a_link(user: User, tmp_path: Path) -> None:
    real = tmp_path / 'it\'s a $HOME; "real" folder 日本 🎉'
    real.mkdir()
    user.folder = tmp_path / "a link & more"
    user.folder.symlink_to(real)
    user.env["PWD"] = str(user.folder)
    done = user.cookiecutter("--no-input", "set_up_now=no")
    (command,) = commands_printed_by(done.stdout)
    finished = user.run("bash", "-c", command)

    enter, _, *others = commands_printed_by(finished.stdout)
    works(Project(user.folder / "my_app", user.env, finished.stdout))
    for command in others:
        shown = user.run("bash", "-c", f"{enter} && {command}")
        assert shown.returncode == 0, shown.stdout
    report(
        ODD,
        "a path with spaces, quotes and emoji, through a link",
        "set up, each printed command works",
    )


def test_stray_modules_in_the_folder_for_temporary_files(user: User, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    user.env["TMPDIR"] = str(tmp_path / "temporary")
    Path(user.env["TMPDIR"]).mkdir()
    for name in STRAY:
        (tmp_path / "temporary" / f"{name}.py").write_text(f"open({str(canary)!r}, 'w')\n")
    project = user.project()

    works(project)
    assert not canary.exists()
    report(
        ODD,
        "stray modules in the folder for temporary files",
        "set up, none of them is run",
        tries=len(STRAY),
    )


CLOCKS = {"a clock decades behind": 1999, "a clock decades ahead": 2050}


@pytest.mark.parametrize("clock", CLOCKS)
def test_with_a_wrong_clock(user: User, clock: str) -> None:
    if not shutil.which("faketime"):
        pytest.skip("needs faketime")
    wrong = ["faketime", f"{CLOCKS[clock]}-01-01 12:00:00"]
    done = user.run(*wrong, "cookiecutter", str(TEMPLATE), "--no-input")
    assert "Traceback" not in done.stdout
    if "To finish" in done.stdout:  # the package index has an invalid certificate
        finish(user, commands_printed_by(done.stdout)[0])

    project = Project(user.folder / "my_app", user.env)
    project.replace(MODELS, BODY, BODY + PRICE)
    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "upgrade")
    project.flask("db", "check")
    result = "set up, or explained and finished by one command; the next migration works"
    report(ODD, clock, result)
