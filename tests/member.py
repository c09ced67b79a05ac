"""A person who is logged in to a project with accounts, and has a token of its API."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

from conftest import Project

ADDRESS, PASSWORD = "ann@example.com", "correct horse battery staple"
FORM = "application/x-www-form-urlencoded"
# As behind a proxy that serves HTTPS.
PRODUCTION = {"FLASK_DEBUG": "0", "PROXIES": "1", "TRUSTED_HOSTS": "127.0.0.1"}


def create_member(project: Project) -> None:
    account = (ADDRESS, "roles:administrator", "--password", PASSWORD, "--active")
    project.flask("users", "create", *account)


@dataclass
class Member:
    """An administrator, in a browser that asks the server on this port."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""  # of the forms
    key: str = ""  # of the API
    clients: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.read_token("/accounts/login")
        self.send("/accounts/login", email=ADDRESS, password=PASSWORD)
        self.read_token("/accounts")
        page = self.send("/accounts/tokens", name="tests")
        (self.key,) = re.findall("<p><code>([^<]{40,})</code></p>", page)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def ask(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[HTTPResponse, str]:
        """Send a request, from an address of which no attempts were counted."""
        number = next(self.clients)
        given = {"Host": "127.0.0.1", "X-Forwarded-For": f"10.0.{number // 250}.{number % 250}"}
        given |= {"X-Forwarded-Proto": "https", "Cookie": self.cookie}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body.encode()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest(method, path, skip_host=True)
            for name, value in (given | {"Content-Length": str(len(content))}).items():
                connection.putheader(name, value.encode("latin-1"))
            connection.endheaders(content)
            response = connection.getresponse()
            return response, response.read().decode()

    def read_token(self, path: str) -> None:
        """Open a page, and keep its cookies and the token of its form."""
        response, page = self.ask("GET", path)
        self._keep_cookies(response)
        self.token = re.findall('name="csrf_token".*?value="(.*?)"', page)[-1]

    def send(self, path: str, **values: str) -> str:
        """Send a form, and return the page."""
        body = urlencode({"csrf_token": self.token, **values})
        response, page = self.ask("POST", path, body, Content_Type=FORM)
        self._keep_cookies(response)
        return page

    def _keep_cookies(self, response: HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
