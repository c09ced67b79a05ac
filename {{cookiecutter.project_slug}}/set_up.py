"""Sets this project up, once: packages, first migration, database, git. Then it removes itself.

    python3 set_up.py

A step that is done already is left as it is, so this can be run again after a failure. It needs
nothing but Python's standard library.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import re
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

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"
BIN = ROOT / ".venv" / ("Scripts" if WINDOWS else "bin")
PYTHON, UV = ("python.exe", "uv.exe") if WINDOWS else ("python", "uv")
DATABASE_STEPS = "--database-steps"
CREATE = "--create-database"
MISSING = 3  # the exit code where the server has no such database
LONGEST = 600  # characters of a failed command's last words
INSTALL_UV = "https://docs.astral.sh/uv/getting-started/installation/"

# What would lead uv, Flask, git or the application away from this project.
MISLEADING = re.compile(
    "VIRTUAL_ENV|PYTHONPATH|PYTHONHOME|DATABASE_URL|SECRET_KEY|FLASK_.*|GIT_(DIR|WORK_TREE|INDEX_FILE)"
)


class SetUpError(Exception):
    """A step could not be done; the text says what happened, in one line.

    Attributes:
        output: all that the failed command printed.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class MissingDatabase(SetUpError):
    """The server answers, but has no such database."""


def main(started_in: Path | None = None, create: bool = False) -> int:
    """Do what is still to do, and print what comes next.

    Args:
        started_in: the folder that the user is in, from which the printed commands will be typed.
        create: whether a missing database is created on another machine, too.

    Returns:
        The exit code for the process: 0 if the project is set up.
    """
    started_in = started_in or Path.cwd()
    command = again(started_in)
    try:
        set_up(create)
    except (SetUpError, OSError, KeyboardInterrupt) as error:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one would cut this off
            signal.signal(number, signal.SIG_IGN)
        print(f"\n{str(error) or 'Interrupted.'}")
        if isinstance(error, MissingDatabase):
            print("On another machine, it is created if you ask for it, with this command:")
            command += f" {CREATE}"
        else:
            print("The project is written, but not set up. To finish, run:")
        print(f"\n  {command}\n", flush=True)
        return 1
    print(f"\nDone. Next:\n\n{next_steps(started_in)}\n", flush=True)
    return 0


def set_up(create: bool = False) -> None:
    """Do all the steps.

    Raises:
        SetUpError: one of them could not be done.
        OSError: nor could what is beside them, for want of room for example.
        KeyboardInterrupt: this process was asked to end; no process of a step is left.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = {
        name: value for name, value in os.environ.items() if not MISLEADING.fullmatch(name)
    } | {"UV_PROJECT_ENVIRONMENT": str(ROOT / ".venv")}
    with alone():
        with step("install the packages in .venv"):
            install_packages(environment)
        migrate_database(environment, create)
        Path(__file__).unlink()
    with contextlib.suppress(SetUpError):  # the failed step has been printed; the project works
        start_git(environment)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep others from setting this project up meanwhile.

    Raises:
        SetUpError: one does already.
    """
    if sys.platform == "win32":  # where a file that is open can't be removed
        yield
        return
    import fcntl

    with open(__file__, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetUpError("Another process is setting the project up.") from None
        except OSError:
            pass  # a disk of another machine, which knows no locks
        yield


def end_with_parent() -> None:
    """End this process once its parent is gone, for nobody waits for it any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def install_packages(environment: Mapping[str, str]) -> None:
    """Run `uv sync`, with the uv that is there or one that pip brings."""
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
                shutil.copy2(uv, BIN / UV)  # found again as soon as .venv is activated


def sync(uv: str, environment: Mapping[str, str]) -> None:
    """Run `uv sync`; without a package that can't be built here, as some drivers of databases.

    The models can be written down as the first revision without it.
    """
    try:
        run([uv, "sync"], environment)
    except SetUpError as error:
        unbuilt = re.search(r"Failed to (?:download and )?build `?([\w.-]+)", error.output)
        if not unbuilt:
            raise
        run([uv, "sync", "--no-install-package", unbuilt[1]], environment)
        print(
            f"\r    {unbuilt[1]} can't be built on this machine; its documentation says what it needs."
        )


def migrate_database(environment: Mapping[str, str], create: bool) -> None:
    """Run `database_steps` with the project's own Python."""
    command = [str(BIN / PYTHON), __file__, DATABASE_STEPS, *([CREATE] if create else [])]
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=errors
        )
        errors.seek(0)
        output = errors.read().decode("utf-8", errors="replace")
    if done.returncode == MISSING:
        raise MissingDatabase(summary(output))
    if done.returncode:
        raise SetUpError(failure(done.returncode, output))


def database_steps(create: bool) -> None:
    """Run the commands of the tutorials, in one process: each alone would import SQLAlchemy anew.

    Raises:
        SystemExit: one of them failed; the text, or the last line on stderr, says why.
    """
    end_with_parent()
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8")  # as the parent reads it
    console, sys.stdout = sys.stdout, sys.stderr  # only the steps themselves are for the user
    # The first import compiles all that it meets. Mako would have it meet Pygments, for the colours
    # of its tracebacks; and a look for garbage, again and again, finds none.
    sys.modules["pygments"] = None  # type: ignore[assignment]
    gc.disable()
    try:
        with step("import the application", console):
            from flask import cli

            cli.load_dotenv()
            app = cli.ScriptInfo(os.environ["FLASK_APP"]).load_app()
    except cli.NoAppException as error:
        # The driver can't be imported. The models can be written down all the same.
        os.environ["DATABASE_URL"] = "sqlite://"
        make_first_revision(console)
        sys.exit(error.message)
    make_first_revision(console)

    url = app.config["SQLALCHEMY_DATABASE_URI"]
    import flask_safe_migrations as server
    if server.is_in_memory(url):
        sys.exit(
            "DATABASE_URL in .env is an SQLite database in memory, which is empty again in each"
            " process. Name a file, as in sqlite:///app.db."
        )
    try:
        with app.app_context():
            server.check_database(app.extensions["sqlalchemy"].engine.url)
    except server.DatabaseUnavailable as problem:
        if not problem.missing:
            sys.exit(str(problem))
        if not (create or is_local(url.host or "")):
            print(f"There is no database {server.describe_database(url)}.", file=sys.stderr)
            sys.exit(MISSING)
        with step(f"create the database {server.describe_database(url)}", console):
            server.create_database(url)
    flask("db", "upgrade", console=console)
    flask("db", "check", console=console)
    with app.app_context():
        others = server.unknown_tables()
    if others:
        names = ", ".join(others)
        print(f"    Tables of others, which are left alone: {names}", file=console)


def is_local(host: str) -> bool:
    """Whether a server is on this machine."""
    return host in ("", "localhost", "::1") or host.startswith("127.")


def make_first_revision(console: TextIO) -> None:
    """Write down the models as the first revision; the database is not needed for it."""
    versions = ROOT / "migrations" / "versions"
    if not versions.is_dir():
        flask("db", "init", console=console)
    if any(versions.glob("*.py")):
        return
    # The same project made again has the same revision, and finds its database migrated.
    revision = hashlib.sha256(ROOT.name.encode()).hexdigest()[:12]
    message = ["-m", "initial migration"]
    flask("db", "migrate", *message, hidden=["--rev-id", revision], console=console)
    if not any(versions.glob("*.py")):
        sys.exit("flask db migrate wrote no revision, although there are models.")


def flask(*arguments: str, console: TextIO, hidden: Sequence[str] = ()) -> None:
    """Run a `flask` command in this process, as a step."""
    from flask.cli import cli

    with step(shlex.join(["flask", *arguments]).replace("'", '"'), console):
        try:
            cli.main([*arguments, *hidden], prog_name="flask")
        except SystemExit as end:
            if end.code:
                raise


def start_git(environment: Mapping[str, str]) -> None:
    """Make a repository where there is none, and a first commit where git knows who commits."""
    git = shutil.which("git")
    if not git:
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


def write_to_any_console() -> None:
    """Print a question mark for what the console's encoding lacks: in a pipe on Windows, a lot."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def marks(console: TextIO) -> tuple[str, str]:
    """Of a step that was done, and of one that failed."""
    try:
        "✓✗".encode(console.encoding or "utf-8")
    except UnicodeEncodeError:
        return "+", "!"
    return "✓", "✗"


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
    done, mark = marks(console)
    try:
        yield
        mark = done
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
        raise SetUpError(failure(error.returncode, error.stdout), error.stdout) from error


def succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command in the project's folder ends with exit code 0."""
    try:
        run(command, environment)
    except SetUpError:
        return False
    return True


def failure(returncode: int, output: str) -> str:
    """What happened to a command, on one line."""
    if returncode < 0:
        return f"The step was ended by {signal.Signals(-returncode).name}."
    return summary(output)


def summary(output: str) -> str:
    """What a failed command says in the end, on one line; of a long one, the beginning and the cause."""
    lines = [line.strip(" │├╰─▶×") for line in output.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if re.match(r"(?i)(\w+ )?error\b", line)]
    text = " ".join(" ".join(lines[errors[-1] :] if errors else lines[-1:]).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def again(started_in: Path) -> str:
    """The command that runs this file again, typed in that folder."""
    return f"{python()} {quoted(seen_from(started_in, Path(__file__)))}"


def next_steps(started_in: Path) -> str:
    """The commands that a user would type next, each with what it does."""
    steps = []
    if started_in != ROOT:
        steps.append((f"cd {quoted(seen_from(started_in, ROOT))}", ""))
    if not shutil.which("uv"):
        activate = r".venv\Scripts\activate" if WINDOWS else ". .venv/bin/activate"
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
    return subprocess.list2cmdline([path]) if WINDOWS else shlex.quote(path)


if __name__ == "__main__":
    write_to_any_console()
    if DATABASE_STEPS in sys.argv:
        database_steps(CREATE in sys.argv)
    else:
        sys.exit(main(create=CREATE in sys.argv))
