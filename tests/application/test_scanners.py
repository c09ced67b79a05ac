"""What scanners find in a project with accounts, when they are logged in: nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, User, get, run
from member import FORM, PRODUCTION, Member, create_member

pytestmark = pytest.mark.thorough

# Of wapiti's modules, those for what a project answers for. HTTPS is the proxy's.
MODULES = "cookieflags,crlf,csp,csrf,exec,file,http_headers,permanentxss,redirect,sql,timesql,upload,xss,xxe"
# What ends the session of the scanner, and what adds nothing but time.
EXCLUDED = ["logout", "delete", "sessions", "change", "change-email", "tf-setup", "tf-validate"]
EXCLUDED += ["tokens/*/revoke"]  # the other tests use the token
UNLIMITED = "1000 per second"


@pytest.fixture(scope="module")
def member(new_user: Callable[[], User], new_uri: Callable[[str], str]) -> Iterator[Member]:
    made = new_user().project("accounts=yes", f"database_uri={new_uri('postgresql')}")
    create_member(made)
    for name in ("PER_NETWORK", "PER_ACCOUNT"):  # they would refuse most of what is tried
        limits = made.path / "src" / "my_app" / "accounts" / "rate_limits.py"
        limits.write_text(f"{limits.read_text()}\n{name} = {UNLIMITED!r}\n")
    with Project(made.path, {**made.env, **PRODUCTION}).listen("gunicorn") as port:
        assert get(port, "/readyz")[0] == 200
        member = Member(port)
        member.read_token("/notes/new")
        member.send("/notes/new", title="Milk", body="Two litres", tags="shop")
        yield member


@pytest.mark.parametrize("path", ["/", "/accounts/login", "/api/notes"])
@pytest.mark.parametrize(
    "chunks",
    [
        "zz\r\na",
        "-1\r\na",
        "3\r\nabcd\r\n0\r\n\r\n",
        "5\r\nab",
        "f" * 99,
        "0\r\nno trailer\r\n\r\n",
    ],
)
def test_a_malformed_chunk_is_refused(member: Member, path: str, chunks: str) -> None:
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{member.port}", f"Cookie: {member.cookie}"]
    head += [f"Authorization: Bearer {member.key}", f"Content-Type: {FORM}"]
    head += ["X-Forwarded-Proto: https", "Transfer-Encoding: chunked"]
    with socket.create_connection(("127.0.0.1", member.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*head, "", chunks]).encode())
        connection.shutdown(socket.SHUT_WR)
        status = connection.recv(100).split()[1]
    assert status == b"400"
    assert get(member.port, "/healthz")[0] == 200


REQUESTS = {
    "the search of the pages": ("GET", "/notes/?q=milk&tag=shop&before=100", ""),
    "the search of the API": ("GET", "/api/notes?q=milk&tag=shop&before=100&limit=5", ""),
    "the body of the API": ("POST", "/api/notes", '{"title": "Milk", "tags": ["shop"]}'),
    "a form": ("POST", "/notes/1/edit", "title=Milk&body=&tags=shop&version=1&csrf_token={}"),
    "the log-in": ("POST", "/accounts/login", "email=ann@example.com&password=x&csrf_token={}"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_sqlmap_injects_nothing(member: Member, name: str, tmp_path: Path) -> None:
    program = shutil.which("sqlmap")
    if program is None:
        pytest.skip("needs sqlmap")
    method, path, body = REQUESTS[name]
    head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{member.port}"]
    head += ["X-Forwarded-Proto: https"]
    if "/api/" in path:
        head += [f"Authorization: Bearer {member.key}", "Content-Type: application/json"]
    else:
        head += [f"Cookie: {member.cookie}", f"Content-Type: {FORM}"]
    request = tmp_path / "request"
    request.write_text("\r\n".join([*head, "", body.replace("{}", member.token)]))
    options = ["--level=2", "--risk=2", "--threads=4", "--time-sec=2", "--skip-waf"]
    options += ["--param-exclude=csrf_token|session", f"--output-dir={tmp_path / 'found'}"]

    done = run(
        [program, "-r", str(request), "--batch", "--ignore-stdin", "--flush-session", *options],
        cwd=tmp_path,
        env=os.environ,
    )

    assert "all tested parameters do not appear to be injectable" in done.stdout, done.stdout


def test_wapiti_finds_nothing(member: Member, tmp_path: Path) -> None:
    program = ["uvx", "--from", "wapiti3", "wapiti"]
    if run([*program, "--version"], cwd=tmp_path, env=os.environ).returncode:
        pytest.skip("needs wapiti3 from the package index")
    address, report = f"http://127.0.0.1:{member.port}", tmp_path / "report.json"
    options = ["--header", f"Cookie: {member.cookie}", "--header", "X-Forwarded-Proto: https"]
    options += ["--module", MODULES, "--no-bugreport"]
    options += ["--max-scan-time", "300", "--max-attack-time", "5"]
    options += ["--store-session", str(tmp_path), "--store-config", str(tmp_path)]
    for path in EXCLUDED:
        options += ["--exclude", f"{address}/accounts/{path}"]

    options += ["--format", "json", "--output", str(report)]
    for _ in range(3):  # its own database may be locked when a module runs out of time
        done = run([*program, "--url", f"{address}/", *options], cwd=tmp_path, env=os.environ)
        if report.exists():
            break

    assert report.exists(), done.stdout
    found = json.loads(report.read_text())
    assert found["infos"]["crawled_pages_nbr"] >= 20, done.stdout
    for kind in ("vulnerabilities", "anomalies"):
        assert {name: faults for name, faults in found[kind].items() if faults} == {}
