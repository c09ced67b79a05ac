"""The Dockerfile and compose.yaml of a project: checked as they stand, and done without an engine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import image
import pytest
import yaml
from actions import schema_finds_nothing
from conftest import Project, User, copied, free_port, get, run
from dotenv import dotenv_values
from servers import KINDS, Server
from sqlalchemy import make_url

pytestmark = pytest.mark.thorough

URIS = [
    "sqlite:///my_app.db",
    "postgresql://me@localhost/my_app",
    "mysql://me@localhost/my_app",
    "mariadb://me@localhost/my_app",
    "oracle://me@example.com/my_app",
]
# What must not get into the image, wherever somebody leaves it.
LEFT_BEHIND = ["server.key", ".env.production", "src/my_app/.env", "instance/backup.sql"]


@dataclass(frozen=True)
class Composed:
    """A project, the image that was made of it, and compose.yaml with its variables filled in."""

    project: Path
    image: image.Image
    compose: Mapping[str, Any]
    environment: dict[str, str]

    @property
    def secrets(self) -> list[str]:
        values = dotenv_values(self.project / ".env")
        return [str(values[name]) for name in values if name in ("SECRET_KEY", "DATABASE_PASSWORD")]

    @contextmanager
    def serve(self, **variables: str) -> Iterator[int]:
        """Run the image's command as a platform would, and give the port."""
        port = free_port()
        process = self.image.start(
            *self.image.command, **{**self.environment, "PORT": str(port), **variables}
        )
        try:
            get(port, "/healthz")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=40)[1]
        assert process.returncode == 0, said

    def migrate(self) -> subprocess.CompletedProcess[str]:
        command = self.compose["services"]["migrate"]["command"].split()
        return run(
            [self.image.path / ".venv" / "bin" / command[0], *command[1:]],
            cwd=self.image.path,
            env=self.image.shell() | self.environment,
        )


def filled_in(project: Path, variables: Mapping[str, str | None]) -> dict[str, Any]:
    """compose.yaml, with what `docker compose` puts in the place of ${NAME:?what to do}."""

    def value(match: re.Match[str]) -> str:
        given = variables.get(match["name"])
        assert given, f"{match['name']}: {match['message']}"
        return given

    text = (project / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{(?P<name>\w+):\?(?P<message>.*?)\}", value, text)
    composed: dict[str, Any] = yaml.safe_load(text)
    return composed


@pytest.fixture(scope="module", params=KINDS)
def composed(
    request: pytest.FixtureRequest,
    new_user: Callable[[], User],
    new_uri: Callable[[str], str],
    original: Callable[[str], Project],
    tmp_path_factory: pytest.TempPathFactory,
) -> Composed:
    project = copied(original(request.param), new_user(), new_uri(request.param)).path
    for name in LEFT_BEHIND:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("secret")
    made = image.build(project, tmp_path_factory.mktemp("build"))

    compose = filled_in(project, dotenv_values(project / ".env"))
    environment = dict(compose["services"]["app"]["environment"])
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # as if it could not write in the image
    if request.param != "sqlite":  # there is no host named "database" here
        server: Server = request.getfixturevalue(request.param)
        url = make_url(environment["DATABASE_URL"])
        said = compose["services"]["database"]["environment"]
        assert {url.username, url.password, url.database} <= set(said.values())
        assert url.host in compose["services"]
        url = server.admin.set(drivername=url.drivername, database=server.name_to_drop())
        environment["DATABASE_URL"] = url.render_as_string(hide_password=False)
    return Composed(project, made, compose, environment)


@pytest.mark.parametrize("uri", URIS)
def test_the_linter_and_the_schema_find_nothing(user: User, uri: str) -> None:
    project = user.project(f"database_uri={uri}", "set_up_now=no").path

    hadolint = ["hadolint", "--failure-threshold=ignore", "--strict-labels", "Dockerfile"]
    done = run(hadolint, cwd=project, env=user.env)
    assert done.returncode == 0, done.stdout
    schema_finds_nothing("compose-spec", project / "compose.yaml")


def test_the_linter_and_the_schema_would_find_something(user: User) -> None:
    project = user.project("set_up_now=no")
    project.replace("Dockerfile", "python:3.13-slim", "python")
    project.replace("compose.yaml", "restart:", "restarts:")

    assert "DL3006" in project.run("hadolint", "Dockerfile").stdout
    schema = "--builtin-schema=vendor.compose-spec"
    assert "restarts" in project.run("check-jsonschema", schema, "compose.yaml").stdout


@pytest.mark.parametrize("uri", URIS)
def test_what_has_to_be_set_is_in_the_file_of_the_set_up_and_in_the_example(
    user: User, uri: str
) -> None:
    project = user.project(f"database_uri={uri}", "set_up_now=no").path

    filled_in(project, dotenv_values(project / ".env"))

    example = dotenv_values(project / ".env.example")
    assert set(example) | {"FLASK_DEBUG"} == set(dotenv_values(project / ".env"))
    with pytest.raises(AssertionError, match=r"as \.env\.example says"):
        filled_in(project, example)


@pytest.mark.parametrize("uri", URIS)
def test_the_application_waits_for_the_migration_and_that_for_the_database(
    user: User, uri: str
) -> None:
    project = user.project(f"database_uri={uri}", "set_up_now=no").path
    compose = filled_in(project, dotenv_values(project / ".env"))
    services = compose["services"]

    assert services["app"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }
    assert "restart" not in services["migrate"]
    if "database" in services:
        assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert services["database"]["healthcheck"]["test"]
        assert "ports" not in services["database"]
    mounted = [place for service in services.values() for place in service.get("volumes", [])]
    assert {place.partition(":")[0] for place in mounted} == set(compose.get("volumes", ()))
    assert mounted or "oracle" in uri


def test_nothing_secret_and_nothing_of_development_is_in_the_image(composed: Composed) -> None:
    root = composed.image.path
    files = [path for path in root.rglob("*") if path.is_file()]

    kept = {path.name for path in root.iterdir() if path.name != "instance"}
    assert kept == {
        ".flaskenv",
        ".venv",
        "LICENSE",
        "README.md",
        "gunicorn.conf.py",
        "migrations",
        "pyproject.toml",
        "src",
        "uv.lock",
    }
    for name in LEFT_BEHIND:
        assert not (root / name).exists(), name
    assert composed.secrets
    for secret in composed.secrets:
        assert [path for path in files if secret.encode() in path.read_bytes()] == []

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    development = [
        re.match(r"[\w-]+", requirement)[0].replace("-", "_")  # type: ignore[index]
        for requirement in project["dependency-groups"]["dev"]
    ]
    installed = [path.name for path in root.glob(".venv/lib/*/site-packages/*.dist-info")]
    assert any(name.startswith("flask-3") for name in installed)
    assert "pytest" in development
    for package in development:
        assert not [name for name in installed if name.startswith(f"{package}-")]
    assert composed.image.user == "10001:10001"


def test_it_serves_once_the_migration_has_run(composed: Composed) -> None:
    root = composed.image.path
    before = {path for path in root.rglob("*") if "instance" not in path.parts}
    nobody = "1"  # listens on this port
    assert composed.image.run(*composed.image.health, PORT=nobody).returncode != 0

    with composed.serve() as port:
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/readyz")[0] == 503
        for said in ("Seeded it.", ""):
            done = composed.migrate()
            assert done.returncode == 0, done.stdout
            assert said in done.stdout
        assert get(port, "/readyz")[0] == 200
        assert "Welcome" in get(port, "/notes")[1]
        assert get(port, "/api/notes")[0] == 200
        done = composed.image.run(*composed.image.health, PORT=str(port))
        assert done.returncode == 0, done.stdout

    # The user of the image may write there only.
    assert {path for path in root.rglob("*") if "instance" not in path.parts} == before


def test_a_migration_that_fails_says_so_and_keeps_the_application_from_starting(
    composed: Composed,
) -> None:
    broken = {**composed.environment, "DATABASE_URL": "sqlite:////no/such/folder/my_app.db"}

    done = Composed(composed.project, composed.image, composed.compose, broken).migrate()

    assert done.returncode == 1
    assert done.stdout.startswith("Error: ")
    assert os.linesep not in done.stdout.strip()
