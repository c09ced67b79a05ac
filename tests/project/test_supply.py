"""What a project needs of others once it is set up: the packages that it has, and no network."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import urljoin

import pytest
from conftest import Project, User
from reliability import report

pytestmark = pytest.mark.thorough

COMMANDS = [
    "uv run flask db check",
    "uv run flask db lint",
    'uv run flask db revision -m "by hand"',
    "uv run flask db upgrade",
    "uv run flask db reset --yes",
    "uv run pytest",
    "uv run mypy",
    "uv run ruff check",
]
PAGES = ["/", "/notes/", "/notes/new", "/notes/1", "/api/docs", "/api/openapi.json", "/readyz"]
ACCOUNTS = ["/", "/accounts/login", "/accounts/register", "/accounts/reset", "/readyz"]
FAULTS = {
    "no": "no network but the loopback device",
    "yes": "no network but the loopback device, with accounts",
}
# What a browser fetches unasked, in HTML and in CSS; a link is followed by people only.
FETCHED = re.compile(
    r"""(?:src|srcset|poster|data)=["']?([^"' >]+)|<link[^>]*href="([^"]+)|url\(([^)]+)"""
)


@pytest.fixture(params=["no", "yes"])
def isolated(request: pytest.FixtureRequest, user: User) -> Project:
    """A project, without accounts or with them, whose commands have no network but the loopback device."""
    if os.getuid() != 0:
        pytest.skip("needs root, to take the network away")
    project = user.project(f"accounts={request.param}")
    script = user.home / "isolated"
    script.write_text(
        '#!/bin/sh\nexec unshare --net sh -c \'ip link set lo up && exec "$@"\' - "$@"\n'
    )
    script.chmod(0o755)
    return Project(project.path, {**project.env, "ISOLATED": str(script), "UV_HTTP_RETRIES": "0"})


def isolate(project: Project, command: str) -> subprocess.CompletedProcess[str]:
    return project.run("sh", "-c", f"$ISOLATED {command}")


def test_a_project_that_is_set_up_needs_no_network(
    isolated: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    accounts = request.node.callspec.params["isolated"]
    paths = PAGES if accounts == "no" else ACCOUNTS
    (device,) = isolate(isolated, "ip -brief link").stdout.splitlines()
    assert device.startswith("lo ")

    for command in COMMANDS:
        done = isolate(isolated, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"

    socket = tmp_path / "socket"
    env = {**isolated.env, "BIND": f"unix:{socket}", "FLASK_DEBUG": "0"}
    with subprocess.Popen(
        [isolated.env["ISOLATED"], ".venv/bin/gunicorn"],
        cwd=isolated.path,
        env=env,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            deadline = time.monotonic() + 30
            while not socket.exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            get = ["curl", "--silent", "--fail-with-body", "--unix-socket", str(socket)]
            pages = {page: isolated.succeed(*get, f"http://localhost{page}") for page in paths}
            fetched = {
                urljoin(f"http://localhost{page}", url)
                for page, text in pages.items()
                for found in FETCHED.findall(text)
                for url in filter(None, found)
            }
            for url in sorted(fetched):
                assert url.startswith("http://localhost/static/"), url
                isolated.succeed(*get, url)
        finally:
            server.terminate()
    assert fetched
    report(
        "Supply",
        FAULTS[accounts],
        f"{len(COMMANDS)} commands, the tests among them, succeed; {len(paths)} pages are answered, and"
        " load nothing from elsewhere",
        on="sqlite",
    )
