"""What the tests share: users with an empty home, and projects made by the real command line."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pexpect
import pytest
import servers
from pytest_cookies.plugin import Cookies

from answers import INTERFACES

TEMPLATE = Path(__file__).resolve().parents[1]
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
SCRIPTS = TEMPLATE / "tests" / "scripts"  # they run in a project, with its packages
# In a project: a file that tests edit, a line of it, and a line to put after that.
MODELS = "src/my_app/notes/models.py"
BODY = "    body: Mapped[str] = mapped_column(Text)\n"
PRICE = "    price: Mapped[int | None]\n"
# How often what depends on chance is done: 50 is what the claims rest on.
ROUNDS = int(os.environ.get("ROUNDS", "3"))
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["__prompts__"]
# All pairs of an interface and accounts.
CHOICES = [
    (interface, accounts)
    for interface in INTERFACES
    for accounts in ("no", "yes")
    if (interface, accounts) != ("api", "yes")
]
IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
}

NO_NETWORK = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
    "UV_HTTP_RETRIES": "0",
}

Bake = Callable[..., Path]
pytest_plugins = ["apps", "browser"]  # their fixtures

# Of the machine's environment, what a new user's shell would not have.
UNUSUAL = re.compile(
    "VIRTUAL_ENV|PYTHON.*|UV|UV_RUN_.*|CI|PYTEST_.*|COV_.*|COOKIECUTTER.*|FLASK_.*|GIT_(?!SSL).*|XDG_.*"
)

# `nohup pytest &` ignores these, and whatever a test starts would inherit it; not so a function.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def run(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal; its two outputs are one."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=timeout,
    )


@dataclass(frozen=True)
class Project:
    """A project that was made, and what its user sees and types."""

    path: Path
    env: Mapping[str, str]
    output: str = ""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run(command, cwd=self.path, env=self.env)

    def start(self, *command: str, stderr: int | None = None) -> subprocess.Popen[str]:
        """Start a program of the project's environment, whose output is read while it runs."""
        program = self.path / ".venv" / "bin" / command[0]
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def succeed(self, *command: str) -> str:
        """Run a command that has to succeed, and return its output."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def flask(self, *arguments: str) -> str:
        return self.succeed("uv", "run", "flask", *arguments)

    def revisions(self) -> list[Path]:
        return sorted((self.path / "migrations" / "versions").glob("*.py"))

    def add_revision(self, name: str, upgrade: str, downgrade: str = "pass") -> str:
        """Write a revision by hand, and return its id."""
        written = "\n".join(path.read_text() for path in self.revisions())
        made, below = (
            {*re.findall(rf"^{name}\b.*['\"](\w+)['\"]$", written, re.MULTILINE)}
            for name in ("revision", "down_revision")
        )
        (head,) = made - below
        number = f"{len(self.revisions()):012x}"
        path = self.path / "migrations" / "versions" / f"2999_{number}_{name}.py"
        path.write_text(
            "import time\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n"
            f"revision = {number!r}\ndown_revision = {head!r}\nbranch_labels = None\ndepends_on = None\n\n\n"
            f"def upgrade() -> None:\n{textwrap.indent(textwrap.dedent(upgrade).strip(), '    ')}\n\n\n"
            f"def downgrade() -> None:\n{textwrap.indent(textwrap.dedent(downgrade).strip(), '    ')}\n"
        )
        return number

    def replace(self, file: str, old: str, new: str) -> None:
        """Edit a file of the project."""
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    @contextmanager
    def serve(self) -> Iterator[Callable[[str], tuple[int, str]]]:
        """Run the development server, and give a function that gets a path: (status, text)."""
        with self.listen() as port:
            yield lambda path: get(port, path)

    @contextmanager
    def listen(self, *server: str, log: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[int]:
        """Run a server, by default that for development, and give its port: it will listen soon."""
        port = free_port()
        command = ["uv", "run", *(server or ("flask", "run"))]
        env = {**self.env, "FLASK_RUN_PORT": str(port), "PORT": str(port)}
        with subprocess.Popen(
            command, cwd=self.path, env=env, stderr=log, start_new_session=True
        ) as process:
            try:
                yield port
            finally:
                os.killpg(process.pid, signal.SIGTERM)  # the one that reloads it, too
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:  # it can deadlock in subprocess.call, on a signal
                    os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def get(port: int, path: str) -> tuple[int, str]:
    """Get a path of the server on this port, as soon as it listens."""
    deadline = time.monotonic() + 30
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


@dataclass
class User:
    """Somebody with an empty home, in an empty folder."""

    home: Path
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, *command: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run(command, cwd=cwd or self.folder, env=self.env)

    def cookiecutter(
        self, *arguments: str, template: str | Path = TEMPLATE
    ) -> subprocess.CompletedProcess[str]:
        return self.run("cookiecutter", str(template), *arguments)

    def project(self, *arguments: str) -> Project:
        """Make a project with the default answers, but for the given ones."""
        done = self.cookiecutter("--no-input", *arguments)
        assert done.returncode == 0, done.stdout
        (path,) = [path for path in self.folder.glob("[!.]*") if path.is_dir()]
        return Project(path, self.env, done.stdout)

    def processes(self, command_line: str = "") -> dict[int, str]:
        """The command lines of the user's processes, those that match a regular expression."""
        home = f"HOME={self.home}".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = path / "environ"
                if re.search(command_line, line) and home in environment.read_bytes().split(b"\0"):
                    found[int(path.name)] = line
        return found

    def files(self) -> list[Path]:
        """All that is in the folder, and what cookiecutter keeps in the home."""
        return [*self.folder.rglob("*"), *(self.home / ".cookiecutter_replay").rglob("*")]


def commands_printed_by(output: str) -> list[str]:
    """The indented lines after the set-up's last words, without their comments."""
    last = re.split(r"Done\. Next:|To finish, run:|To set it up, run:|with this command:", output)[
        -1
    ]
    return [line.partition("  #")[0].strip() for line in last.splitlines() if line.strip()]


def without_times(text: str) -> str:
    """Return the text with the same time for each step, however long it took."""
    return re.sub(r" *\d+\.\d s\b", " 0.0 s", text).strip()


def at_the_prompt(user: User, *arguments: str) -> pexpect.spawn[str]:
    """Start cookiecutter in a terminal."""
    return pexpect.spawn(
        "cookiecutter",
        [str(TEMPLATE), *arguments],
        cwd=str(user.folder),
        env=user.env | {"TERM": "dumb", "COLUMNS": "200", "LINES": "50"},
        encoding="utf-8",
        timeout=120,
        dimensions=(50, 200),
    )


@pytest.fixture(scope="session")
def new_user(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], User]:
    """A function that makes a user, to whom only the packages come from the machine's own cache.

    What Python has compiled of the packages, and what mypy knows of them, goes from each user to
    the next: it takes 2 s and 10 s to find out.
    """
    mypy_cache = tmp_path_factory.getbasetemp() / "mypy_cache"
    uv_cache = tmp_path_factory.getbasetemp() / "uv_cache"
    machine = subprocess.check_output(["uv", "cache", "dir"], encoding="utf-8").strip()
    try:
        shutil.copytree(machine, uv_cache, symlinks=True, copy_function=os.link)
    except (OSError, shutil.Error):  # it is on another disk, where links don't reach
        uv_cache = Path(machine)
    made: list[User] = []

    def make() -> User:
        if made and uv_cache != Path(machine):
            keep_compiled(made[-1].folder, uv_cache)
        home = tmp_path_factory.mktemp("home")
        folder = tmp_path_factory.mktemp("folder")
        env = {name: value for name, value in os.environ.items() if not UNUSUAL.fullmatch(name)}
        env |= {"HOME": str(home), "PWD": str(folder), "UV_CACHE_DIR": str(uv_cache)}
        env["MYPY_CACHE_DIR"] = str(mypy_cache)
        env.setdefault("UV_HTTP_RETRIES", "10")  # of a network that fails for a moment
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        made.append(User(home, folder, env))
        return made[-1]

    return make


def keep_compiled(folder: Path, uv_cache: Path) -> None:
    """Put what Python has compiled in the projects of a folder beside the sources in the cache.

    From there, uv links it into the next project. Python looks whether it belongs to the source.
    """
    kept = {info.name: info.parent for info in uv_cache.glob("archive-v*/*/*.dist-info")}
    for site in folder.glob("*/.venv/lib/*/site-packages"):
        for record in site.glob("*.dist-info/RECORD"):
            if (archive := kept.get(record.parent.name)) is None:
                continue
            for line in record.read_text(encoding="utf-8").splitlines():
                name = line.partition(",")[0]
                compiled = Path(importlib.util.cache_from_source(name))
                if (
                    name.endswith(".py")
                    and (site / compiled).exists()
                    and (archive / name).exists()
                ):
                    target = archive / compiled
                    target.parent.mkdir(exist_ok=True)
                    with suppress(FileExistsError):
                        os.link(site / compiled, target)


@pytest.fixture
def user(new_user: Callable[[], User]) -> User:
    return new_user()


@pytest.fixture(scope="session")
def project(original: Callable[[str], Project]) -> Project:
    """A project with default answers, set up; for tests that change nothing in it."""
    return original("sqlite")


@pytest.fixture
def fresh_project(project: Project, user: User) -> Project:
    """A project with default answers, set up; to be changed at will."""
    return copied(project, user)


def copied(original: Project, user: User, uri: str | None = None) -> Project:
    """A copy of a project for a user, with its SQLite database or on another: much less than a set-up."""
    path = user.folder / original.path.name
    hidden = shutil.ignore_patterns(".venv", "*-pytest-*.pyc")  # those keep their path
    shutil.copytree(original.path, path, symlinks=True, ignore=hidden)
    copy = Project(path, user.env)
    copy.succeed("uv", "sync", "--frozen", "--offline")
    if uri:
        settings = (path / ".env").read_text()
        (line,) = re.findall("^DATABASE_URL=.*$", settings, re.MULTILINE)
        copy.replace(".env", line, f"DATABASE_URL='{servers.driver_named(uri)}'")
        copy.flask("db", "upgrade")
    return copy


def sqlite_uri(project: Project) -> str:
    return f"sqlite:///{project.path / 'instance' / 'my_app.db'}"


@pytest.fixture
def bake(cookies: Cookies) -> Bake:
    """A function that makes a project with these answers, and does not set it up."""

    def make(**answers: Any) -> Path:  # noqa: ANN401
        result = cookies.bake(extra_context={"set_up_now": False, **answers})
        assert result.exception is None
        return Path(result.project_path)

    return make


def checks_at_the_desk(project: Path) -> list[str]:
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    tasks = settings["tool"]["poe"]["tasks"]
    *checks, audit = tasks["check"]["sequence"]
    (command,) = re.findall(r'"(uv .*?)"', tasks[audit["ref"]]["shell"])
    return [*checks, command]


def check(project: Project) -> None:
    """Run what `poe check` runs, except what asks the network."""
    *checks, _ = checks_at_the_desk(project.path)
    assert len(checks) == 6
    for command in checks:
        project.succeed("uv", "run", *command.split())


def text_files(project: Path) -> list[Path]:
    return [path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts]


def own_files(project: Path) -> list[Path]:
    """The files that belong to the owner of the project."""
    vendored = {"flask_generate", "flask_safe_migrations", "pico", "rapidoc"}
    return [path for path in text_files(project) if not vendored & {*path.parts}]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the template as it stands, committed or not."""
    path = tmp_path_factory.mktemp("git") / "cookiecutter-flask-migrate"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=TEMPLATE, encoding="utf-8").split("\0"):
        if name and (TEMPLATE / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TEMPLATE / name, path / name)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Template"]):
        subprocess.run(["git", *identity, *command], cwd=path, check=True)
    return path


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with what a new machine has: Python, git and the usual commands, no uv."""
    folder = tmp_path_factory.mktemp("tools")
    for name in (
        "bash",
        "cat",
        "curl",
        "dirname",
        "git",
        "ls",
        "mkdir",
        "rm",
        "sed",
        "sh",
        "uname",
    ):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    yield from servers.find("TEST_POSTGRESQL_URL")


@pytest.fixture(scope="session")
def mysql() -> Iterator[servers.Server]:
    yield from servers.find("TEST_MYSQL_URL")


@pytest.fixture(scope="session")
def postgresql_with_passwords(
    postgresql: servers.Server,
) -> Iterator[servers.Server]:
    """A server that refuses a wrong password, as one with `trust` does not."""
    if servers.checks_passwords(postgresql):
        yield postgresql
        return
    with servers.postgresql_with_passwords() as server:
        yield server


@pytest.fixture(scope="session")
def new_uri(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """A function that gives the URI of an empty database of a kind."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('data')}/data.db"
        server: servers.Server = request.getfixturevalue(kind)
        return server.uri(server.new_database())

    return make


@pytest.fixture(scope="session")
def original(
    new_uri: Callable[[str], str], new_user: Callable[[], User]
) -> Callable[[str], Project]:
    """A function that gives a project on a database of a kind, set up once, to be copied."""

    @cache
    def make(kind: str) -> Project:
        answers = [] if kind == "sqlite" else [f"database_uri={new_uri(kind)}"]
        return new_user().project(*answers)

    return make


@pytest.fixture
def on(
    new_uri: Callable[[str], str], original: Callable[[str], Project], user: User
) -> Callable[[str], tuple[Project, str]]:
    """A function that gives a project on a database of a kind, to be changed, and its URI."""

    def make(kind: str) -> tuple[Project, str]:
        uri = None if kind == "sqlite" else new_uri(kind)
        copy = copied(original(kind), user, uri)
        return copy, servers.driver_named(uri or sqlite_uri(copy))

    return make


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a file as it stands in the template."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", sys.path[:])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(TEMPLATE / "hooks" / "post_gen_project.py", monkeypatch)
