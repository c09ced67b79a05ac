"""The image, built and run by a container engine that needs no daemon, from base images that are made here.

Buildah runs the steps in a chroot, as a container needs more than a container may have.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Project, free_port, get
from image import NETWORK

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore::ResourceWarning")]

DEBIAN = "trixie"  # its Python is that of the Dockerfile, 3.13
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Engine:
    """Buildah with a storage of its own."""

    storage: Path

    def command(self, *arguments: str) -> list[str]:
        places = [f"--root={self.storage}/root", f"--runroot={self.storage}/run"]
        return ["buildah", *places, "--storage-driver=vfs", *arguments]

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}"
        return done.stdout.strip()

    def add_base(self, name: str, files: Path, **variables: str) -> None:
        """Make an image of these files."""
        container = self.run("from", "scratch")
        self.run("copy", "--quiet", container, str(files), "/")
        options = [f"--env={name}={value}" for name, value in variables.items()]
        self.run("config", *options, container)
        self.run("commit", "--quiet", container, name)
        self.run("rm", container)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The engine with the base images that the Dockerfile names."""
    missing = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    if missing or os.getuid():
        pytest.skip(f"needs root, buildah and debootstrap: {', '.join(missing) or 'not root'}")
    engine = Engine(tmp_path_factory.mktemp("storage"))

    system = tmp_path_factory.mktemp("system")
    packages = "--include=ca-certificates,python3"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", packages, DEBIAN, system],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"needs Debian's packages: {made.stdout[-200:]}")
    for name in ("python", "python3"):
        (system / "usr" / "local" / "bin" / name).symlink_to("/usr/bin/python3")
    network = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    if "SSL_CERT_FILE" in network:
        shutil.copy2(network["SSL_CERT_FILE"], f"{system}{CERTIFICATES}")
        network = {"SSL_CERT_FILE": CERTIFICATES}
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    engine.add_base("python:3.13-slim", system, **path, **network)

    uv = tmp_path_factory.mktemp("uv")
    shutil.copy2(str(shutil.which("uv")), uv / "uv")
    engine.add_base("ghcr.io/astral-sh/uv:0.13", uv)
    return engine


def test_the_image_is_built_and_serves_the_migrated_application(
    engine: Engine, on: Callable[[str], tuple[Project, str]]
) -> None:
    project, _ = on("sqlite")
    tag = "my_app:test"
    engine.run(
        *("bud", "--isolation=chroot", "--format=docker", "--pull-never", "--quiet"),
        *(f"--tag={tag}", str(project.path)),
    )

    config = json.loads(engine.run("inspect", "--type=image", tag))["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn"]
    container = engine.run("from", "--pull-never", tag)
    port = free_port()
    settings = {
        "DATABASE_URL": "sqlite:///my_app.db",
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "PORT": str(port),
    }
    variables = [f"--env={name}={value}" for name, value in settings.items()]
    inside = ["run", "--isolation=chroot", *variables, container, "--"]

    assert engine.run(*inside, "id", "-u") == "10001"
    assert "Permission denied" in engine.run(*inside, "touch", "/app/x", code=1)
    engine.run(*inside, "flask", "db", "prepare")
    server = subprocess.Popen(engine.command(*inside, *config["Cmd"]), start_new_session=True)
    try:
        assert get(port, "/readyz")[0] == 200
        assert "Welcome" in get(port, "/notes")[1]
        engine.run(*inside, *config["Healthcheck"]["Test"][1:])
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(40)
    engine.run(*inside, *config["Healthcheck"]["Test"][1:], code=1)
