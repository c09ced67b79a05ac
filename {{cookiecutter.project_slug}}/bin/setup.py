"""Set this project up on this machine: settings, packages, database and git repository.

    python3 bin/setup.py

Run it after `git clone`, and again after a failure: it leaves alone what is done. It needs nothing
but Python's standard library.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = os.name == "nt"
BIN = ROOT / ".venv" / ("Scripts" if WINDOWS else "bin")
PYTHON, UV = ("python.exe", "uv.exe") if WINDOWS else ("python", "uv")
CREATE_DATABASE = "--create-database"  # the option
DATABASE_IS_MISSING = 3  # the exit code of setup_database.py
MAX_MESSAGE_LENGTH = 600  # characters
INSTALL_UV = "https://docs.astral.sh/uv/getting-started/installation/"

# Variables of the caller that would lead uv, Flask, git or the application away from this project.
SCRUBBED_ENV = re.compile(
    "VIRTUAL_ENV|PYTHONPATH|PYTHONHOME|DATABASE_URL|MIGRATION_DATABASE_URL|SECRET_KEY|FLASK_.*"
    "|GIT_(DIR|WORK_TREE|INDEX_FILE)"
)


class SetUpError(Exception):
    """A step failed. The text says why, on one line.

    Attributes:
        output: What the failed command printed.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class DatabaseMissing(SetUpError):
    """The server, which is another machine, has no database of this name."""


def main(create_database: bool = False) -> int:
    """Set the project up, and print what comes next.

    Args:
        create_database: Create a missing database on another machine, too.

    Returns:
        The exit code of the process.
    """
    try:
        set_up(create_database)
    except (SetUpError, OSError, KeyboardInterrupt) as error:
        report_error(error)
        return 1
    print(f"\nDone. Next:\n\n{next_steps()}\n", flush=True)
    return 0


def set_up(create_database: bool = False) -> None:
    """Do what is not done yet.

    Raises:
        SetUpError: A step failed.
        OSError: For example, the disk is full.
        KeyboardInterrupt: The process was interrupted or terminated. Its steps have ended.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = {
        name: value for name, value in os.environ.items() if not SCRUBBED_ENV.fullmatch(name)
    } | {"UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv")}
    with exclusive_lock():
        write_env()
        with step("install the packages in .venv"):
            install_packages(environment)
        set_up_database(environment, create_database)
    try:
        start_repository(environment)
    except SetUpError as error:  # the project works without
        print(f"    {error}")


def report_error(error: BaseException) -> None:
    """Print what happened, and the command that does the rest."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a second one would cut this off
        signal.signal(number, signal.SIG_IGN)
    print(f"\n{str(error) or 'Interrupted.'}")
    command = retry_command()
    if isinstance(error, DatabaseMissing):
        print("On another machine, a database is created only on request. To finish, run:")
        command += f" {CREATE_DATABASE}"
    else:
        print("The project is written, but not set up. To finish, run:")
    print(f"\n  {command}\n", flush=True)


@contextlib.contextmanager
def exclusive_lock() -> Iterator[None]:
    """Keep another process from setting up the same project meanwhile.

    Raises:
        SetUpError: Another process does.
    """
    if sys.platform == "win32":  # it has no flock
        yield
        return
    import fcntl

    with open(__file__, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetUpError("Another process is setting up the project.") from None
        except OSError:
            pass  # a network file system without locks
        yield


def exit_with_parent() -> None:
    """Have this process terminated when its parent ends: then nobody waits for it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def write_env() -> None:
    """Copy .env.example to .env with new secrets, if there is none.

    Raises:
        SetUpError: A setting has to be filled in.
    """
    path = ROOT / ".env"
    if not path.exists():
        example = (ROOT / ".env.example").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^# (FLASK_DEBUG=1)$", r"\1", example)  # this machine is for development
        for name in ("SECRET_KEY", "DATABASE_PASSWORD"):
            text = re.sub(rf"(?m)^{name}=$", f"{name}={secrets.token_hex(32)}", text)
        with step("write .env"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
    if re.search(r"(?m)^DATABASE_URL=\s*$", path.read_text(encoding="utf-8", errors="replace")):
        raise SetUpError("DATABASE_URL is empty in .env: fill it in.")


def install_packages(environment: Mapping[str, str]) -> None:
    """Run `uv sync`, with the installed uv or one that pip downloads."""
    with tempfile.TemporaryDirectory() as folder:
        uv = environment.get("UV") or shutil.which("uv") or shutil.which(str(BIN / UV))
        if not uv:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            try:
                run([*pip, "--target", folder, "uv"], environment)
            except SetUpError as error:
                message = f"pip can't install uv ({error}). Install it yourself: {INSTALL_UV}"
                raise SetUpError(message) from error
            uv = str(next(Path(folder).glob(f"*/{UV}")))
        sync(uv, environment)
        if not shutil.which("uv"):
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy2(uv, BIN / UV)  # on PATH as soon as .venv is activated


def sync(uv: str, environment: Mapping[str, str]) -> None:
    """Run `uv sync`, without a package that can't be built here, such as the driver of a database.

    The initial migration can be written without it.
    """
    try:
        run([uv, "sync"], environment)
    except SetUpError as error:
        unbuilt = re.search(r"Failed to (?:download and )?build `?([\w.-]+)", error.output)
        if not unbuilt:
            raise
        run([uv, "sync", "--no-install-package", unbuilt[1]], environment)
        print(f"\r    {unbuilt[1]} can't be built here; its documentation says what it needs.")


def set_up_database(environment: Mapping[str, str], create_database: bool) -> None:
    """Run setup_database.py with the project's Python; it prints its own steps."""
    script = Path(__file__).with_name("setup_database.py")
    options = [CREATE_DATABASE] if create_database else []
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(  # noqa: S603
            [str(BIN / PYTHON), str(script), *options],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=errors,
        )
        errors.seek(0)
        output = errors.read().decode("utf-8", errors="replace")
    if done.returncode == DATABASE_IS_MISSING:
        raise DatabaseMissing(summarize(output))
    if done.returncode:
        raise SetUpError(explain(done.returncode, output))


def start_repository(environment: Mapping[str, str]) -> None:
    """Create a git repository where there is none, and commit where git knows the author.

    Raises:
        SetUpError: git refuses.
    """
    git = shutil.which("git")
    if not git or succeeds([git, "ls-files", "--error-unmatch", "pyproject.toml"], environment):
        return
    if succeeds([git, "rev-parse", "--is-inside-work-tree"], environment):
        print("    The project is in a git repository already: commit it there.")
        return
    with step("git init"):
        run([git, "init", "--quiet"], environment)
    if succeeds([git, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"], environment):
        with step('git commit -m "Initial commit"'):
            run([git, "add", "--all"], environment)
            # Signing could wait for a passphrase, and a global hook may not fit a new project.
            options = ["--quiet", "--no-gpg-sign", "--no-verify"]
            run([git, "commit", *options, "-m", "Initial commit"], environment)
    else:
        print("    Nothing is committed: git does not know who you are (git config user.name).")
        print("    Once it does: git add --all && git commit")


def replace_unknown_characters() -> None:
    """Print a question mark for a character that the console lacks, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def get_marks(console: TextIO) -> tuple[str, str]:
    """Return the marks of a step that succeeded and of one that failed."""
    try:
        "✓✗".encode(console.encoding or "utf-8")
    except UnicodeEncodeError:
        return "+", "!"
    return "✓", "✗"


@contextlib.contextmanager
def step(name: str, console: TextIO | None = None) -> Iterator[None]:
    """Print the step and how long it took; on a terminal, count the seconds meanwhile."""
    console = console or sys.stdout
    started = time.monotonic()
    over = threading.Event()

    def format_line(mark: str) -> str:
        return f"  {mark} {name:<40} {time.monotonic() - started:5.1f} s"

    def show_progress() -> None:
        while not over.wait(0.1):
            print(f"\r{format_line('.')}", end="", file=console, flush=True)

    display = threading.Thread(target=show_progress, daemon=True)
    if console.isatty():
        display.start()
    done, mark = get_marks(console)
    try:
        yield
        mark = done
    finally:
        over.set()
        if display.ident:
            display.join()
            print("\r", end="", file=console)
        print(format_line(mark), file=console, flush=True)


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command in the project's folder, without its output.

    Raises:
        SetUpError: It can't be run, or failed.
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
        raise SetUpError(explain(error.returncode, error.stdout), error.stdout) from error


def succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run a command in the project's folder, and return whether it exits with 0."""
    try:
        run(command, environment)
    except SetUpError:
        return False
    return True


def explain(returncode: int, output: str) -> str:
    """Return on one line why a command failed."""
    if returncode < 0:
        return f"The step was ended by {signal.Signals(-returncode).name}."
    return summarize(output)


def summarize(output: str) -> str:
    """Return the last error in an output, on one line; of a long one, its beginning and its end."""
    lines = [line.strip(" │├╰─▶×") for line in output.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if re.match(r"(?i)(\w+ )?error\b", line)]
    text = " ".join(" ".join(lines[errors[-1] :] if errors else lines[-1:]).split())
    half = MAX_MESSAGE_LENGTH // 2
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:half]} … {text[-half:]}"


def retry_command() -> str:
    """Return the command that runs this file, as the user would type it."""
    return f"{python_command()} {quote(relative_path(Path(__file__)))}"


def next_steps() -> str:
    """Return the commands that the user would type next, each with its purpose."""
    steps = []
    if user_folder() != ROOT:
        steps.append((f"cd {quote(relative_path(ROOT))}", ""))
    if not shutil.which("uv"):
        activate = r".venv\Scripts\activate" if WINDOWS else ". .venv/bin/activate"
        steps.append((activate, "uv is installed there"))
    steps.append(("uv run flask run", "http://127.0.0.1:5000"))
    steps.append(("uv run pytest", "the tests, on a database of their own"))
    steps.append(('uv run flask db migrate -m "add price"', "after changing a model"))
    steps.append(("uv run flask db upgrade", "apply it to the database"))
    return "\n".join(
        f"  {command:<40} {f'# {purpose}' if purpose else ''}".rstrip()
        for command, purpose in steps
    )


def python_command() -> str:
    """Return a command for this Python that works in the user's shell."""
    for name in ("python3", "python"):
        found = shutil.which(name)
        if found and Path(found).resolve() == Path(sys.executable).resolve():
            return name
    return "uv run --no-project" if shutil.which("uv") else quote(sys.executable)


def user_folder() -> Path:
    """Return the folder of the user's shell, where the printed commands will be typed."""
    return Path(os.environ.get("PWD") or Path.cwd()).resolve()


def relative_path(path: Path) -> str:
    """Return the path as the user would type it."""
    path, folder = path.resolve(), user_folder()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def quote(argument: str) -> str:
    """Return one argument for the user's shell."""
    return subprocess.list2cmdline([argument]) if WINDOWS else shlex.quote(argument)


if __name__ == "__main__":
    replace_unknown_characters()
    sys.exit(main(CREATE_DATABASE in sys.argv))
