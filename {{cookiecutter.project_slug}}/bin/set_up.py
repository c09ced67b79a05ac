"""Set this project up on this machine: settings, packages, database and git repository.

    python3 bin/set_up.py

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

# Variables of the caller that lead uv, pip, git, Flask or Python away from this project, except those
# that say where to find packages and Pythons, who commits, and how to print.
SCRUBBED_ENV = re.compile("VIRTUAL_ENV|(FLASK|GIT|HATCH|PIP|UV)_.*|PYTHON.*")
KEPT_ENV = re.compile(
    "(PIP|UV)_.*(CACHE|CERT|CONCURRENT|CONFIG|CREDENTIALS|ENDPOINT|FIND_LINKS|HOST|HTTP|INDEX|KEYRING"
    "|LINK_MODE|MIRROR|OFFLINE|PROXY|RETRIES|TIMEOUT|TLS).*|UV_(NO_)?(MANAGED_)?PYTHON.*"
    "|GIT_(AUTHOR|CEILING|COMMITTER|CONFIG|EXEC|SSH|SSL).*"
    "|PYTHON(DONTWRITEBYTECODE|IOENCODING|PYCACHEPREFIX|UNBUFFERED|UTF8)"
)
# Against what pip's configuration files may say.
PIP_ENV = {"PIP_DRY_RUN": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
# Against what git's configuration may say: hooks, ignored files and filters of other projects.
GIT_OPTIONS = [
    *("-c", "core.hooksPath=no-hooks", "-c", "core.excludesFile=", "-c", "core.attributesFile="),
    *("-c", "core.safecrlf=false"),
]


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
    environment = clean_environment()
    with exclusive_lock():
        write_env()
        with step("install the packages in .venv"):
            python = install_packages(environment)
        set_up_database(python, environment, create_database)
    try:
        start_repository(environment)
    except SetUpError as error:  # the project works without
        print(f"    {error}")


def clean_environment() -> dict[str, str]:
    """Return the caller's environment without what is meant for another project.

    A setting of the application, of which .env.example has all names, comes from .env alone.
    """
    example = ROOT / ".env.example"
    text = example.read_text(encoding="utf-8") if example.exists() else ""
    settings = re.findall(r"(?m)^(?:# )?([A-Z][A-Z0-9_]+)=", text)
    return {
        name: value
        for name, value in os.environ.items()
        if name not in settings and (KEPT_ENV.fullmatch(name) or not SCRUBBED_ENV.fullmatch(name))
    }


def report_error(error: BaseException) -> None:
    """Print what happened, and the command that does the rest."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a second one would cut this off
        signal.signal(number, signal.SIG_IGN)
    print(f"\n{str(error) or 'Interrupted.'}")
    command = retry_command()
    if isinstance(error, DatabaseMissing):
        print("On a remote server, a database is created only on request. To finish, run:")
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
            raise SetUpError("Another process is setting up the project: wait for it.") from None
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
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SetUpError(f".env is not UTF-8 text ({error}): save it as UTF-8.") from None
    if re.search(r"(?m)^DATABASE_URL=\s*$", text):
        raise SetUpError("DATABASE_URL is empty in .env: fill it in.")


def install_packages(environment: Mapping[str, str]) -> Path:
    """Run `uv sync`, with the installed uv or one that pip downloads, and return the Python of .venv."""
    with tempfile.TemporaryDirectory() as folder:
        uv = environment.get("UV") or shutil.which("uv") or shutil.which(str(BIN / UV))
        if not uv:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            try:
                run([*pip, "--target", folder, "uv"], {**environment, **PIP_ENV})
            except SetUpError as error:
                message = f"pip can't install uv ({error}). Install it yourself: {INSTALL_UV}"
                raise SetUpError(message) from error
            uv = str(next(Path(folder).glob(f"*/{UV}")))
        sync(uv, environment)
        # In a uv workspace, that is the Python of all its members.
        found = run([uv, "python", "find"], environment).splitlines()
        python = Path(found[-1]) if found else BIN / PYTHON
        if not shutil.which("uv"):
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy2(uv, python.with_name(UV))  # on PATH as soon as .venv is activated
    return python


def sync(uv: str, environment: Mapping[str, str]) -> None:
    """Run `uv sync`, without a package that can't be built here, such as the driver of a database.

    The initial migration can be written without it.
    """
    command = [uv, "sync", "--inexact"]  # in a workspace, other members have packages there
    venv = ROOT / ".venv"
    was_there = venv.exists()
    try:
        try:
            run(command, environment)
        except SetUpError as error:
            unbuilt = re.search(r"Failed to (?:download and )?build `?([\w.-]+)", error.output)
            if not unbuilt:
                raise
            run([*command, "--no-install-package", unbuilt[1]], environment)
            print(f"\r    {unbuilt[1]} can't be built: install what it needs, then run: uv sync")
    except BaseException:
        if not was_there:  # uv would take a package that is half written for an installed one
            shutil.rmtree(venv, ignore_errors=True)
        raise
    if not (ROOT / "uv.lock").exists():
        print(
            "\r    The project is in a uv workspace, which has uv.lock and .venv. Its Dockerfile and CI need"
            " their own:\n    to get them, exclude it from the workspace, and run uv sync."
        )


def set_up_database(python: Path, environment: Mapping[str, str], create_database: bool) -> None:
    """Run setup_database.py with the project's Python; it prints its own steps."""
    script = Path(__file__).with_name("setup_database.py")
    options = [CREATE_DATABASE] if create_database else []
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(  # noqa: S603
            [str(python), str(script), *options],
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
        run([git, *GIT_OPTIONS, "init", "--quiet"], environment)
    if not succeeds([git, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"], environment):
        print("    Nothing was committed: git doesn't know you (git config user.name, user.email).")
        print("    Set both, then run: git add --all && git commit")
        return
    try:
        with step('git commit -m "Initial commit"'):
            run([git, *GIT_OPTIONS, "add", "--all"], environment)
            # Signing could wait for a passphrase.
            options = ["--quiet", "--no-gpg-sign", "--no-verify"]
            run([git, *GIT_OPTIONS, "commit", *options, "-m", "Initial commit"], environment)
    except SetUpError as error:
        raise SetUpError(f"{error}\n    Fix that, then run: git add --all && git commit") from error


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

    # Where it isn't needed, none is made: an interrupt during its finalizer would be lost.
    display = threading.Thread(target=show_progress, daemon=True) if console.isatty() else None
    if display:
        display.start()
    done, mark = get_marks(console)
    try:
        yield
        mark = done
    finally:
        over.set()
        if display:
            display.join()
            print("\r", end="", file=console)
        print(format_line(mark), file=console, flush=True)


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command in the project's folder, and return its output.

    Raises:
        SetUpError: It can't be run, or failed.
    """
    try:
        done = subprocess.run(  # noqa: S603
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
    return done.stdout


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
