"""Runs or checks the files on the pages about deploying, and deploys without a failed request."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from clients import GOOD, Clients, wait_until
from conftest import IDENTITY, MODELS, TEMPLATE, Project, User, free_port, get, run
from recipes import SECTIONS, edit, finish
from servers import engine_of, skip
from sqlalchemy import inspect

PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (TEMPLATE / "docs").glob("deploying*.md")
}
# The files on those pages, by name.
FILES: dict[str, str] = {
    name: text
    for page in PAGES.values()
    for name, text in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
}
IMAGE = (TEMPLATE / "{{cookiecutter.project_slug}}" / "Dockerfile").read_text(encoding="utf-8")
FIRST_STEP = "First step: nullable, and new rows have it"
NGINX = """
daemon off;
{user}
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    {sites}
}}
"""


@dataclass
class Nginx:
    """nginx with a configuration of its own, in a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)

    def configure(self, sites: str) -> None:
        # As root, it would work as a user who may not look into the folders of the tests.
        user = "user root;" if os.getuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(NGINX.format(user=user, sites=sites))

    def balance(self, *ports: int) -> None:
        """Share the requests among these ports; only one that can't be sent is sent again."""
        servers = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        self.configure(
            f"upstream app {{ {servers} }}"
            f" server {{ listen 127.0.0.1:{self.port}; location / {{"
            " proxy_pass http://app; proxy_next_upstream error; } }"
        )

    @property
    def command(self) -> list[str]:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            skip("needs nginx")
        return [program, "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "error.log"]

    @contextmanager
    def serve(self, start: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Run it, and what it asks, if that does not run yet."""
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        try:
            start()
            get(self.port, "/healthz")
            yield
        finally:
            self.process.terminate()
            self.process.wait(10)

    def workers(self) -> set[str]:
        found = subprocess.run(
            ["pgrep", "--parent", str(self.process.pid)], capture_output=True, text=True
        )
        return set(found.stdout.split())

    def reload(self) -> None:
        """Take the new configuration, and wait until nobody works with the old one."""
        old = self.workers()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(self.workers()) and not self.workers() & old)


@contextmanager
def replica(project: Project) -> Iterator[tuple[int, Callable[[], None]]]:
    """Run gunicorn as in production: its port, and a function that ends it as a platform does."""
    port = free_port()
    env = {**project.env, "FLASK_DEBUG": "0", "WEB_CONCURRENCY": "1", "PORT": str(port)}
    process = subprocess.Popen(
        [project.path / ".venv" / "bin" / "gunicorn"],
        cwd=project.path,
        env=env,
        stderr=subprocess.DEVNULL,
    )

    def end() -> None:
        process.terminate()
        assert process.wait(40) == 0

    try:
        get(port, "/healthz")
        yield port, end
    finally:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    return get(port, "/readyz")[0] == 200


def next_release(project: Project, folder: Path) -> Project:
    """A copy of the project, with an environment of its own."""
    shutil.copytree(project.path, folder, ignore=shutil.ignore_patterns(".venv", ".git"))
    release = Project(folder, project.env)
    release.succeed("uv", "sync", "--quiet", "--locked")
    return release


def change_models(project: Project, title: str) -> None:
    """Change the code as a section of docs/migrations.md says."""
    for language, block in SECTIONS[title]:
        if language == "diff":
            edit(project, block)


@pytest.mark.thorough
def test_a_rolling_deploy_fails_no_request(
    on: Callable[[str], tuple[Project, str]], tmp_path: Path
) -> None:
    """A release expands the schema and the next one contracts it, while clients read and write."""
    first, uri = on("postgresql")
    first.flask("db", "seed")
    second = next_release(first, tmp_path / "second")
    change_models(second, FIRST_STEP)
    second.flask("db", "migrate", "-m", "add updated_at")
    third = next_release(second, tmp_path / "third")
    nginx = Nginx(tmp_path)
    clients = Clients(nginx.port)

    with ExitStack() as running:

        def start(release: Project) -> tuple[int, Callable[[], None]]:
            return running.enter_context(replica(release))

        def replace(*steps: tuple[tuple[int, int], Callable[[], None]]) -> None:
            """Let nginx ask these ports only, and then end the process that it no longer asks."""
            for ports, end in steps:
                nginx.balance(*ports)
                nginx.reload()
                end()
                clients.go_on()

        (a, end_a), (b, end_b) = start(first), start(first)
        nginx.balance(a, b)
        running.enter_context(nginx.serve())
        with clients.at_work():
            (c, end_c), (d, end_d) = start(second), start(second)
            # Started too early: a balancer leaves them alone.
            assert [is_ready(port) for port in (a, b, c, d)] == [True, True, False, False]
            second.flask("db", "upgrade")
            assert [is_ready(port) for port in (a, b, c, d)] == [True] * 4
            replace(((b, c), end_a), ((c, d), end_b))

            finish(third, "Second step: fill", "Third step: NOT NULL")
            (e, _), (f, _) = start(third), start(third)
            assert [is_ready(port) for port in (c, d, e, f)] == [True] * 4
            replace(((d, e), end_c), ((e, f), end_d))

    assert clients.failures == []
    assert {*clients.answers} == GOOD
    columns = {column["name"]: column for column in inspect(engine_of(uri)).get_columns("note")}
    assert not columns["updated_at"]["nullable"]
    with engine_of(uri).connect() as connection:
        (written,) = connection.exec_driver_sql("SELECT count(*) FROM note WHERE title = 'Milk'")
    assert written == (clients.answers["POST", 201],)


@dataclass
class Service:
    """What systemd does for the units of the page: it holds the socket, and starts the service."""

    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        with socket.socket(socket.AF_UNIX) as self.socket:
            self.socket.bind(str(self.folder / "my_app.sock"))
            self.socket.listen(4096)
            try:
                yield
            finally:
                self.stop()

    def restart(self) -> None:
        self.stop()
        unit = ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(placed("/etc/systemd/system/my_app.service", self.folder))
        service = unit["Service"]
        # https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
        start = f"exec 3<&{self.socket.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec {service['ExecStart']}"
        self.process = subprocess.Popen(
            ["bash", "-c", start],
            cwd=service["WorkingDirectory"],
            env=self.env | dict([service["Environment"].split("=")]),
            pass_fds=[self.socket.fileno()],
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            assert self.process.wait(40) == 0


def placed(name: str, folder: Path) -> str:
    """A file of the page, for another folder than /srv/my_app."""
    text = FILES[name].replace("/srv/my_app", str(folder))
    return text.replace("/run/my_app.sock", str(folder / "my_app.sock"))


@pytest.fixture
def server(user: User) -> Iterator[Path]:
    """A folder in the place of /srv/my_app; the names of sockets have to be short."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deploy").write_text(placed("/srv/my_app/deploy", folder))
        (folder / "deploy").chmod(0o755)
        secret = secrets.token_hex(32)
        uri = f"sqlite:///{folder}/my_app.db"
        (folder / ".env").write_text(f"SECRET_KEY={secret}\nDATABASE_URL={uri}\n")
        (folder / "sudo").write_text(f'#!/bin/sh\necho "$@" >> {folder}/sudo.log\n')
        (folder / "sudo").chmod(0o755)
        user.env["PATH"] = f"{folder}{os.pathsep}{user.env['PATH']}"
        yield folder


@pytest.mark.thorough
def test_a_plain_server_is_deployed_to_without_a_failed_request(user: User, server: Path) -> None:
    user.env |= IDENTITY
    project = user.project()

    def deploy(expected: int = 0) -> Path:
        done = user.run(server / "deploy", f"file://{project.path}", cwd=server)
        assert done.returncode == expected, done.stdout
        return (server / "current").resolve()

    nginx = Nginx(server)
    site = placed("/etc/nginx/conf.d/my_app.conf", server)
    nginx.configure(site.replace("listen 80;", f"listen 127.0.0.1:{nginx.port};"))
    clients = Clients(nginx.port)
    service = Service(server, user.env)
    first = deploy()
    with service.listen(), nginx.serve(service.restart), clients.at_work():
        change_models(project, FIRST_STEP)
        project.flask("db", "migrate", "-m", "add updated_at")
        project.succeed("git", "add", "--all")
        project.succeed("git", "commit", "--quiet", "-m", "Add updated_at")
        second = deploy()
        service.restart()
        clients.go_on()
        assert "updated_at" in (second / MODELS).read_text(encoding="utf-8")

        project.revisions()[-1].write_text("broken")
        project.succeed("git", "commit", "--quiet", "--all", "-m", "Break it")
        assert deploy(expected=1) == second
        clients.go_on()

    assert clients.failures == []
    assert {*clients.answers} == GOOD
    assert first != second
    restarts = (server / "sudo.log").read_text(encoding="utf-8").splitlines()
    assert restarts == ["systemctl restart my_app"] * 2
    assert FILES["/etc/sudoers.d/my_app"].strip().endswith(f": /usr/bin/{restarts[0]}")


@pytest.mark.thorough
def test_systemd_accepts_the_units(server: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    gunicorn = server / "current" / ".venv" / "bin" / "gunicorn"
    gunicorn.parent.mkdir(parents=True)
    gunicorn.touch(0o755)
    units = []
    for kind in ("socket", "service"):
        unit = server / f"my_app.{kind}"
        unit.write_text(placed(f"/etc/systemd/system/my_app.{kind}", server))
        units.append(unit)

    done = run(["systemd-analyze", "verify", *units], cwd=server, env=os.environ)

    assert [line for line in done.stdout.splitlines() if "my_app" in line] == []
    assert done.returncode == 0, done.stdout
    units[1].write_text(units[1].read_text().replace("Type=notify", "Kind=notify"))
    assert "Kind" in run(["systemd-analyze", "verify", *units], cwd=server, env=os.environ).stdout


@pytest.mark.thorough
def test_kubernetes_accepts_the_resources(tmp_path: Path) -> None:
    file = tmp_path / "my_app.yaml"
    file.write_text(FILES["my_app.yaml"].replace("RELEASE", "2"))
    command = ["kubernetes-validate", "--strict", str(file)]

    done = run(command, cwd=tmp_path, env=os.environ)

    assert done.returncode == 0, done.stdout
    file.write_text(file.read_text().replace("readinessProbe", "readyProbe"))
    assert run(command, cwd=tmp_path, env=os.environ).returncode == 1


@pytest.mark.thorough
def test_the_files_of_platforms_agree_with_the_image_and_the_application() -> None:
    job, deployment, service = yaml.safe_load_all(FILES["my_app.yaml"])
    (app,) = deployment["spec"]["template"]["spec"]["containers"]
    (migrate,) = job["spec"]["template"]["spec"]["containers"]
    fly = tomllib.loads(FILES["fly.toml"])
    render = yaml.safe_load(FILES["render.yaml"])["services"][0]
    processes = dict(re.findall(r"^(\w+): (.*)$", FILES["Procfile"], re.MULTILINE))

    commands = [
        shlex.join(migrate["args"]),
        fly["deploy"]["release_command"],
        render["preDeployCommand"],
        processes["release"],
    ]
    assert commands == ["flask db prepare"] * 4
    assert "args" not in app  # it is the image's own
    assert 'CMD ["gunicorn"]' in IMAGE
    assert processes["web"].endswith(" gunicorn")

    port = int(re.search(r" PORT=(\d+)$", IMAGE, re.MULTILINE)[1])  # type: ignore[index]
    (listening,) = app["ports"]
    assert fly["http_service"]["internal_port"] == listening["containerPort"] == port
    (given,) = service["spec"]["ports"]
    assert given["targetPort"] == listening["name"]
    assert app["livenessProbe"]["httpGet"]["path"] == "/healthz"
    (check,) = fly["http_service"]["checks"]
    ready = [app["readinessProbe"]["httpGet"]["path"], check["path"], render["healthCheckPath"]]
    assert ready == ["/readyz"] * 3


@pytest.mark.thorough
def test_each_file_of_the_page_is_used_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")

    assert len(FILES) == 9
    assert [name for name in FILES if f'"{name}"' not in source and "/systemd/" not in name] == []
