"""The JSON API of a project, on a real server and each of the databases."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from browser import program
from clients import run_schemathesis
from conftest import SCRIPTS, Project, User, copied, get, run
from servers import KINDS, Server, driver_named, snapshot
from sqlalchemy import make_url

pytestmark = pytest.mark.thorough

# How much schemathesis tries: API_EXAMPLES=300 makes more than 1,000 cases on each database.
EXAMPLES = int(os.environ.get("API_EXAMPLES", "10"))
MILK = {"title": "Milk", "body": "Two litres", "tags": ["shop"]}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Api:
    """The API of a project that is served."""

    port: int
    uri: str
    token: str = ""  # of an account

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = JSON
    ) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers | self.authorization)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def create(self, **values: object) -> tuple[HTTPResponse, bytes]:
        return self.ask("POST", "/api/notes", json.dumps(MILK | values).encode())


# Makes an account and a token of it.
MAKE_ACCOUNT = """
from my_app import create_app
from my_app.accounts import tokens
with create_app().app_context() as context:
    datastore = context.app.extensions["security"].datastore
    account = datastore.create_user(email="ann@example.com", password="x")
    datastore.commit()
    print(tokens.create_token(account, "tests"))
"""


@pytest.fixture(scope="module", params=[*KINDS, "accounts"])
def api(
    request: pytest.FixtureRequest,
    new_user: Callable[[], User],
    new_uri: Callable[[str], str],
    original: Callable[[str], Project],
) -> Iterator[Api]:
    has_accounts = request.param == "accounts"
    uri = new_uri("sqlite" if has_accounts else request.param)
    if request.param == "mysql":
        # To compare texts as newer servers do: some characters are nothing.
        mysql: Server = request.getfixturevalue("mysql")
        mysql.run(f"ALTER DATABASE {make_url(uri).database} COLLATE utf8mb4_unicode_520_ci")
    made = (
        new_user().project(f"database_uri={uri}", "accounts=yes")
        if has_accounts
        else copied(original(request.param), new_user(), uri)
    )
    token = made.succeed("uv", "run", "python", "-c", MAKE_ACCOUNT).strip() if has_accounts else ""
    project = Project(made.path, {**made.env, "FLASK_DEBUG": "0"})
    with project.listen() as port:
        assert get(port, "/readyz")[0] == 200
        yield Api(port, driver_named(uri), token.rpartition("\n")[2])


def test_schemathesis_finds_no_fault(api: Api, tmp_path: Path) -> None:
    options = [f"--header={name}: {value}" for name, value in api.authorization.items()]

    printed = run_schemathesis(tmp_path, api.port, f"--max-examples={EXAMPLES}", *options)

    (cases,) = re.findall(r"(\d+) generated, \1 passed", printed)
    assert int(cases) >= (1000 if EXAMPLES >= 300 else 200), printed
    (links,) = re.findall(r"API Links: +(\d+) covered", printed)
    assert int(links) >= 5, printed  # it infers them from the paths


@pytest.fixture
def api_with_goods(fresh_project: Project) -> Iterator[Api]:
    """An API whose owner has added lists, forms, files, headers and parameters that are lists."""
    shutil.copy(SCRIPTS / "goods.py", fresh_project.path / "src" / "my_app")
    for old, new in (
        (
            "from .seeds import seed",
            "from .goods import blueprint as goods\nfrom .seeds import seed",
        ),
        (
            "(notes_api)\n",
            '(notes_api)\n    app.extensions["api"].register_blueprint(goods)\n',
        ),
    ):
        fresh_project.replace("src/my_app/__init__.py", old, new)
    project = Project(fresh_project.path, {**fresh_project.env, "FLASK_DEBUG": "0"})
    with project.listen() as port:
        assert get(port, "/readyz")[0] == 200
        yield Api(port, "")


def test_schemathesis_finds_no_fault_in_what_an_owner_adds(
    api_with_goods: Api, tmp_path: Path
) -> None:
    printed = run_schemathesis(
        tmp_path, api_with_goods.port, f"--max-examples={EXAMPLES}", "--include-path-regex=goods"
    )

    assert "Tested: 5" in printed


def test_a_column_without_a_length_takes_what_it_holds(fresh_project: Project) -> None:
    """The limits of the API and of the forms are those of the columns."""
    fresh_project.replace(
        "src/my_app/notes/models.py",
        "title: Mapped[str] = mapped_column(String(200))",
        "title: Mapped[str] = mapped_column(Text)",
    )
    with fresh_project.listen() as port:
        assert get(port, "/healthz")[0] == 200
        assert Api(port, "").create(title="x" * 10_000)[0].status == 201
        assert Api(port, "").create(title="x" * 10_001)[0].status == 422


# The first 65,536 letters that each pattern allows.
ALLOWED = """
const letters = [...Array(65536).keys()];
const allowed = pattern => letters.filter(letter => pattern.test(String.fromCharCode(letter)));
const patterns = JSON.parse(process.argv[1]).map(pattern => new RegExp(pattern, "u"));
console.log(JSON.stringify(patterns.map(allowed)));
"""


def test_patterns_mean_the_same_to_other_programs(api: Api) -> None:
    described: list[tuple[str, str]] = []
    json.loads(api.ask("GET", "/api/openapi.json")[1], object_pairs_hook=described.extend)
    patterns = sorted({value for name, value in described if name == "pattern"})
    assert len(patterns) == 4

    command = [program("node"), "--eval", ALLOWED, json.dumps(patterns)]
    done = run(command, cwd=Path(), env=os.environ)

    for pattern, allowed in zip(patterns, json.loads(done.stdout), strict=True):
        letters = [letter for letter in range(65536) if re.fullmatch(pattern, chr(letter))]
        assert letters == allowed, pattern


VALUES: list[dict[str, object]] = [
    {"title": "a\0b"},
    {"title": "\ud800"},
    {"title": "\x1b[2J"},
    {"title": "a\nb"},
    {"title": "x" * 201},
    {"title": " " * 200},
    {"title": " " * 200_000},
    {"title": ["a"]},
    {"title": {"$ne": ""}},
    {"body": "\0"},
    {"body": "\udfff"},
    {"body": "\U0001f600" * 10_001},
    {"tags": ["new", "\0"]},
    {"tags": ["new", "\ud800"]},
    {"tags": ["new", ""]},
    {"tags": ["new", "x" * 51]},
    {"tags": ["new", None]},
    {"tags": ["new", ["new"]]},
    {"tags": [f"new {number}" for number in range(21)]},
    {"tags": {"new": 1}},
    {"tags": "new"},
    {"id": 1},
    {"version": 2**63},
    {"created_at": "now"},
    {"\0": 1},
    {"_schema": 1},
    {"__proto__": {}},
]
HOSTILE = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"{",
    b"null",
    b"[]",
    b'"title"',
    b"1e400",
    b"NaN",
    b"[" * 200_000,
    b'{"title":' * 20_000,
    b"[" * 100_000 + b"]" * 100_000,
    b"9" * 100_000,
    *(
        b'{"title": "a", "tags": ["new"], "body": ' + value + b"}"
        for value in (b"null", b"1", b"-1e999", b"NaN", b"[]", b"{}", b"true", b"9" * 5000)
    ),
    *(
        json.dumps({"title": "a", "body": "b", "tags": ["new"]} | values).encode()
        for values in VALUES
    ),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_hostile_bodies_are_refused_and_nothing_of_them_is_stored(api: Api, method: str) -> None:
    created, _ = api.create()
    path = created.headers["Location"] if method == "PUT" else "/api/notes"
    headers = JSON | {"If-Match": created.headers["ETag"]}
    before = snapshot(api.uri)

    for body in HOSTILE:
        response, content = api.ask(method, path, body, headers)
        assert response.status in (400, 422), (body[:100], content)
        assert json.loads(content)["status"] == response.status
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        other = headers | {"Content-Type": content_type}
        assert api.ask(method, path, json.dumps(MILK).encode(), other)[0].status == 415
    # Without the body, which the server would not read to its end.
    too_large = headers | {"Content-Length": str(2**40)}
    assert api.ask(method, path, b"", too_large)[0].status == 413

    assert snapshot(api.uri) == before


PATHS = [
    "?q=%00",
    "?q=%ED%A0%80%00",
    "?tag=%00",
    "?q=" + "x" * 201,
    "?before=0",
    "?before=1e3",
    f"?before={2**63}",
    "?limit=" + "9" * 5000,
    "?limit=-1",
    "?limit[]=1",
    "/0",
    f"/{2**31}",
    f"/{2**63}",
    "/" + "9" * 5000,
    "/%00",
    "/%FF",
    "/1%2F2",
    "/../notes/0",
]


def test_hostile_paths_are_refused(api: Api) -> None:
    for path in PATHS:
        response, content = api.ask("GET", f"/api/notes{path}")
        assert response.status in (404, 422), (path, content)
        assert json.loads(content)["status"] == response.status


def test_unusual_letters_are_stored_as_they_are(api: Api) -> None:
    texts = ["\u200b", "\u0301", "\U0001f600", "\uffff", "\u202e", "İ", "'; DROP TABLE note; --"]
    tags = [["ß", "ss"], ["é", "E", "e"], ["B", "a"], ["\U0001f600", "\U0001f601"], ["\u200b"]]
    no_tags: list[str] = []
    cases = [(text, no_tags) for text in texts] + [("a", names) for names in tags]

    for title, names in cases:
        created, content = api.create(title=title, body=title, tags=names)
        assert created.status == 201, content
        assert json.loads(content)["title"] == json.loads(content)["body"] == title
        read, again = api.ask("GET", created.headers["Location"])
        assert (again, read.headers["ETag"]) == (content, created.headers["ETag"])


def test_of_writers_at_once_one_wins_and_the_others_are_told(api: Api) -> None:
    created, _ = api.create()
    path, headers = created.headers["Location"], JSON | {"If-Match": created.headers["ETag"]}

    def write(number: int) -> int:
        body = json.dumps({"title": str(number), "tags": ["shop", f"raced {number % 3}"]}).encode()
        return api.ask("DELETE" if number == 5 else "PUT", path, body, headers)[0].status

    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(pool.map(write, range(10)))

    assert [status for status in statuses if status < 400] in ([200], [204])
    assert {status for status in statuses if status >= 400} <= {404, 409, 412}


def test_writers_at_once_share_new_tags(api: Api) -> None:
    tags = [f"shared {number}" for number in range(5)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: api.create(title=str(number), tags=tags), range(10)))

    assert [response.status for response, _ in answers] == [201] * 10
    assert all(json.loads(content)["tags"] == tags for _, content in answers)
