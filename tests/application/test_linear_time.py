"""Whatever is sent, twice as much of it costs the server about twice as much time, or less."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from conftest import Project, User, get
from member import FORM, PRODUCTION, Member, create_member

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the clock of another process"),
]

# A regular expression that can match one of them in two ways backtracks when it is repeated.
PATTERNS = [
    *(
        " ",
        "\t",
        '"',
        "%",
        ",",
        "=",
        "@",
        ".",
        "-",
        "/",
        "\\",
        "<",
        "(",
        "{",
        "[",
        "a",
        "0",
        "\xe9",
    ),
    *("a ", "a,", 'a="', "a@", "a.", "://a:", "W/", "a;q="),
]
END = "!\x7f"  # comes after them, so that a match fails at the end
# Bytes: what gunicorn takes of a header and of a line, and the application of a body and a password.
HEADER, LINE, BODY, LONGEST_PASSWORD = 8_000, 3_900, 240_000, 200

HEADERS = [
    *("Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Cookie"),
    *("Content-Type", "Forwarded", "Host", "If-Match", "If-Modified-Since", "If-None-Match"),
    *("If-Range", "Origin", "Range", "Referer", "User-Agent", "X-CSRFToken", "X-Forwarded-For"),
    *("X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Request-ID"),
]
FORMS = {
    "/accounts/login": ("email", "password", "next"),
    "/accounts/register": ("email", "password", "password_confirm"),
    "/accounts/reset": ("email",),
    "/accounts/confirm": ("email",),
    "/accounts/change": ("password", "new_password"),
    "/accounts/change-email": ("email",),
    "/accounts/verify": ("password",),
    "/accounts/tokens": ("name",),
    "/accounts/tf-setup": ("setup",),
    "/accounts/tf-validate": ("code",),
    "/accounts/wan-register": ("name", "usage"),
    "/accounts/sessions": ("key",),
    "/accounts/invite": ("email",),
    "/notes/new": ("title", "body", "tags", "version", "csrf_token", "unknown"),
}
PATHS = [
    *(
        "/notes/?q={}",
        "/notes/?tag={}",
        "/notes/?before={}",
        "/api/notes?q={}",
        "/api/notes?tag={}",
    ),
    *("/api/notes?before={}", "/api/notes?{}=1", "/accounts/login?next={}", "/accounts/reset/{}"),
    *("/accounts/confirm/{}", "/notes/{}", "/api/notes/{}", "/static/{}", "/{}"),
]
# The pattern is in the body, in the name of a file, and in the header of a part.
MULTIPART = (
    '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n{}\r\n--x--\r\n',
    '--x\r\nContent-Disposition: form-data; name="a"; filename="{}"\r\n\r\n\r\n--x--\r\n',
    "--x\r\nContent-Disposition: {}\r\n\r\n\r\n--x--\r\n",
)

Send = Callable[[str], int]


@dataclass
class Served(Member):
    """A member of a project that one process serves."""

    worker: int = 0

    def cost(self, send: Send, text: str, times: int) -> float:
        """Return the seconds of the processor that the server needs, as the median."""
        # https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
        clock = (~self.worker << 3) | 2
        seconds = []
        for _ in range(times):
            before = time.clock_gettime(clock)
            assert send(text) < 500, text[:20]
            seconds.append(time.clock_gettime(clock) - before)
        return statistics.median(seconds)  # the clock of another process may lag behind for once

    def find_slow(self, send: Send, size: int) -> dict[str, list[float]]:
        """Return the patterns of which twice as much costs more than three times as much."""
        slow = {}
        for pattern in PATTERNS:
            half, whole = (
                (pattern * length)[: length - len(END)] + END for length in (size // 2, size)
            )
            for times in (1, 3, 10):  # with more care, if they seem to be too far apart
                costs = [self.cost(send, text, times) for text in (half, whole)]
                if costs[1] <= 3 * costs[0]:
                    break
            else:
                slow[pattern] = costs
        return slow


@pytest.fixture(scope="module")
def served(
    new_user: Callable[[], User], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    made = new_user().project("accounts=yes")
    create_member(made)
    production = {**PRODUCTION, "WEB_CONCURRENCY": "1", "WEB_THREADS": "1"}
    pid = tmp_path_factory.mktemp("gunicorn") / "pid"
    project = Project(made.path, {**made.env, **production})
    with project.listen("gunicorn", "--pid", str(pid)) as port:
        assert get(port, "/readyz")[0] == 200
        master = pid.read_text().strip()
        (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        yield Served(port, worker=int(worker))


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in FORMS.items() for name in names]
)
def test_a_field_of_a_form(served: Served, path: str, name: str) -> None:
    def send(text: str) -> int:
        values = {"csrf_token": served.token, "email": f"{next(served.clients)}@example.com"}
        body = urlencode(values | {name: text})
        return served.ask("POST", path, body, Content_Type=FORM)[0].status

    assert served.find_slow(send, BODY // 3) == {}
    if "password" in name:
        assert served.find_slow(send, LONGEST_PASSWORD) == {}


@pytest.mark.parametrize("body", MULTIPART)
def test_a_form_with_files(served: Served, body: str) -> None:
    def send(text: str) -> int:
        kind = "multipart/form-data; boundary=x"
        return served.ask("POST", "/notes/new", body.format(text), Content_Type=kind)[0].status

    assert served.find_slow(send, BODY // 2) == {}


@pytest.mark.parametrize("name", ["title", "body", "tags", "unknown", ""])
def test_a_value_of_the_api(served: Served, name: str) -> None:
    headers = {"Content_Type": "application/json", "Authorization": f"Bearer {served.key}"}

    def send(text: str) -> int:
        value = [text] if name == "tags" else text
        body = json.dumps({name: value}, ensure_ascii=False) if name else text
        return served.ask("POST", "/api/notes", body, **headers)[0].status

    assert served.find_slow(send, BODY // 2) == {}


@pytest.mark.parametrize("path", PATHS)
def test_an_address(served: Served, path: str) -> None:
    """Each is in the log, too, through its filters."""

    def send(text: str) -> int:
        key = f"Bearer {served.key}"
        address = path.format(quote(text, safe="/%:;,=@.-()'"))[:LINE]
        return served.ask("GET", address, Authorization=key)[0].status

    assert served.find_slow(send, LINE) == {}


@pytest.mark.parametrize(
    "path", ["/accounts", pytest.param("/api/notes", marks=pytest.mark.weekly)]
)
@pytest.mark.parametrize("name", HEADERS)
def test_a_header(served: Served, name: str, path: str) -> None:
    key = {"Authorization": f"Bearer {served.key}"}

    def send(text: str) -> int:
        text = text.replace("\x7f", "")
        return served.ask("POST", path, **key | {name: f"{key.get(name, '')}{text}"})[0].status

    assert served.find_slow(send, HEADER) == {}
