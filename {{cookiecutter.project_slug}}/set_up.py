"""Sets this project up, once: packages, first migration, database, git. Then it removes itself.

    python3 set_up.py

A step that is done already is left as it is, so this can be run again after a failure. It needs
nothing but Python's standard library.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
BIN = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")
UV = "uv.exe" if os.name == "nt" else "uv"
INSTALL_UV = "https://docs.astral.sh/uv/getting-started/installation/"

# What would lead uv, Flask, git or the application away from this project.
MISLEADING = re.compile(
    "VIRTUAL_ENV|PYTHONPATH|PYTHONHOME|DATABASE_URL|SECRET_KEY|FLASK_.*|GIT_(DIR|WORK_TREE|INDEX_FILE)"
)


class SetUpError(Exception):
    """A step could not be done; the text says what happened, in one line."""


def main(started_in: Path | None = None) -> int:
    """Do what is still to do, and print what comes next.

    Args:
        started_in: the folder that the user is in, from which the printed commands will be typed.

    Returns:
        The exit code for the process: 0 if the project is set up.
    """
    started_in = started_in or Path.cwd()
    try:
        set_up()
    except (SetUpError, KeyboardInterrupt) as error:
        print(f"\n{error or 'Interrupted.'}")
        print(f"The project is written, but not set up. To finish, run:\n\n  {again(started_in)}\n")
        sys.stdout.flush()
        return 1
    print(f"\nDone. Next:\n\n{next_steps(started_in)}\n", flush=True)
    return 0


def set_up() -> None:
    """Do all the steps.

    Raises:
        SetUpError: one of them could not be done.
    """
    environment = {
        name: value for name, value in os.environ.items() if not MISLEADING.fullmatch(name)
    } | {"UV_PROJECT_ENVIRONMENT": ".venv"}
    with step("install the packages in .venv"):
        install_packages(environment)
    migrate_database(environment)
    Path(__file__).unlink()
    with contextlib.suppress(SetUpError):  # the failed step has been printed; the project works
        start_git(environment)


def install_packages(environment: Mapping[str, str]) -> None:
    """Run `uv sync`, with the uv that is there or one that pip brings."""
    with tempfile.TemporaryDirectory() as folder:
        uv = environment.get("UV") or shutil.which("uv") or shutil.which(BIN / UV)
        if not uv:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            try:
                run([*pip, "--target", folder, "uv"], environment)
            except SetUpError as error:
                raise SetUpError(f"{error} Install uv yourself: {INSTALL_UV}") from error
            uv = str(next(Path(folder).glob(f"*/{UV}")))
        run([uv, "sync"], environment)
        if not shutil.which("uv"):
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy2(uv, BIN / UV)  # found again as soon as .venv is activated


def migrate_database(environment: Mapping[str, str]) -> None:
    """Run `database_steps` with the project's own Python."""
    command = [str(BIN / "python"), __file__, "--database-steps"]
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=errors
        )
        errors.seek(0)
        output = errors.read().decode(errors="replace")
    if done.returncode:
        raise SetUpError(summary(output))


def database_steps() -> None:
    """Run the commands of the tutorials, in one process: each alone would import SQLAlchemy anew."""
    from flask.cli import cli

    console, sys.stdout = sys.stdout, sys.stderr  # only the steps themselves are for the user

    def flask(*arguments: str) -> None:
        with step(shlex.join(["flask", *arguments]).replace("'", '"'), console):
            try:
                cli.main(arguments, prog_name="flask")
            except SystemExit as end:
                if end.code:
                    raise

    versions = ROOT / "migrations" / "versions"
    if not versions.is_dir():
        flask("db", "init")
    if not any(versions.glob("*.py")):
        flask("db", "migrate", "-m", "initial migration")
    if not any(versions.glob("*.py")):
        sys.exit("flask db migrate wrote no revision, although there are models.")
    flask("db", "upgrade")
    flask("db", "check")


def start_git(environment: Mapping[str, str]) -> None:
    """Make a repository where there is none, and a first commit where git knows who commits."""
    git = shutil.which("git")
    if not git or succeeds([git, "rev-parse", "--is-inside-work-tree"], environment):
        return
    with step("git init"):
        run([git, "init", "--quiet"], environment)
    if succeeds([git, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"], environment):
        with step('git commit -m "Initial commit"'):
            run([git, "add", "--all"], environment)
            # Signing could wait for a passphrase, and a global hook may not fit a new project.
            options = ["--quiet", "--no-gpg-sign", "--no-verify"]
            run([git, "commit", *options, "-m", "Initial commit"], environment)


@contextlib.contextmanager
def step(name: str, console: TextIO | None = None) -> Iterator[None]:
    """Print the step with the seconds that it took; on a terminal also while it is under way."""
    console = console or sys.stdout
    started = time.monotonic()
    over = threading.Event()

    def line(mark: str) -> str:
        return f"  {mark} {name:<40} {time.monotonic() - started:5.1f} s"

    def show_life() -> None:
        while not over.wait(0.1):
            print(f"\r{line('.')}", end="", file=console, flush=True)

    display = threading.Thread(target=show_life, daemon=True)
    if console.isatty():
        display.start()
    mark = "✗"
    try:
        yield
        mark = "✓"
    finally:
        over.set()
        if display.ident:
            display.join()
            print("\r", end="", file=console)
        print(line(mark), file=console, flush=True)


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command in the project's folder, without its output.

    Raises:
        SetUpError: it can't be run, or failed.
    """
    try:
        subprocess.run(  # noqa: S603
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except OSError as error:
        raise SetUpError(f"{command[0]} can't be run: {error.strerror}.") from error
    except subprocess.CalledProcessError as error:
        raise SetUpError(summary(error.stdout)) from error


def succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command in the project's folder ends with exit code 0."""
    try:
        run(command, environment)
    except SetUpError:
        return False
    return True


def summary(output: str) -> str:
    """What a failed command says in the end, on one line."""
    lines = [line.strip(" │├╰─▶×") for line in output.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if re.match(r"(?i)(\w+ )?error\b", line)]
    return " ".join(lines[errors[-1] :] if errors else lines[-1:])


def again(started_in: Path) -> str:
    """The command that runs this file again, typed in that folder."""
    return f"{python()} {quoted(seen_from(started_in, Path(__file__)))}"


def next_steps(started_in: Path) -> str:
    """The commands that a user would type next, each with what it does."""
    steps = []
    if started_in != ROOT:
        steps.append((f"cd {quoted(seen_from(started_in, ROOT))}", ""))
    if not shutil.which("uv"):
        activate = r".venv\Scripts\activate" if os.name == "nt" else ". .venv/bin/activate"
        steps.append((activate, "uv was installed there"))
    steps.append(("uv run flask run", "http://127.0.0.1:5000"))
    steps.append(("uv run pytest", "the tests, on a database of their own"))
    steps.append(('uv run flask db migrate -m "add price"', "after changing a model"))
    steps.append(("uv run flask db upgrade", "bring the database up to it"))
    return "\n".join(
        f"  {command:<40} {f'# {why}' if why else ''}".rstrip() for command, why in steps
    )


def python() -> str:
    """A name for this Python that works at the user's prompt."""
    for name in ("python3", "python"):
        found = shutil.which(name)
        if found and Path(found).resolve() == Path(sys.executable).resolve():
            return name
    return "uv run --no-project" if shutil.which("uv") else quoted(sys.executable)


def seen_from(folder: Path, path: Path) -> str:
    """The path as one would type it in that folder."""
    path = path.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def quoted(path: str) -> str:
    """The path as one argument of a shell."""
    return f'"{path}"' if os.name == "nt" else shlex.quote(path)


if __name__ == "__main__":
    if "--database-steps" in sys.argv:
        database_steps()
    else:
        sys.exit(main())
