"""What the tests with a browser share: Chromium, and what is looked for on each page it visits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import servers
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    Request,
    Route,
    WebError,
    expect,
    sync_playwright,
)

expect.set_options(timeout=20_000)  # ms; the machine may be busy

PHONE = {"width": 360, "height": 640}  # CSS pixels
# html-validate 8 runs on the Node of Debian 12.
PACKAGES = ["axe-core@4", "html-validate@8"]
# https://www.deque.com/axe/core-documentation/api-documentation/#axecore-tags
AXE = """async () => {
    const wanted = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const rules = axe.getRules(wanted).filter(
        ({tags}) => !tags.includes("experimental") && !tags.includes("deprecated"));
    const result = await axe.run({runOnly: {type: "rule", values: rules.map(rule => rule.ruleId)}});
    return [...result.violations, ...result.incomplete].map(
        ({id, nodes}) => `axe: ${id}: ${nodes.map(node => node.html).join(" ")}`);
}"""
# Links in a sentence are as high as its lines: https://www.w3.org/TR/WCAG22/#target-size-minimum
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input, textarea")]
    .filter(target => {
        const {width, height} = target.getBoundingClientRect();
        const sentence = target.closest("p, dd")?.textContent.trim() ?? "";
        const isInSentence = getComputedStyle(target).display === "inline"
            && sentence.length > target.textContent.trim().length;
        return target.type !== "hidden" && target.checkVisibility() && !isInSentence && (width < 24 || height < 24);
    })
    .map(target => `smaller than 24 pixels: ${target.outerHTML}`)
"""
IS_WIDER = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
BACKGROUND = "() => getComputedStyle(document.documentElement).backgroundColor"
# RapiDoc's page: its HTML and its style are those of a library, and it names no icon.
NOT_OURS = "/api/docs"


def program(name: str) -> str:
    """Where a program is: as the variable says that is named like it, or on the PATH."""
    found = os.environ.get(name.upper()) or shutil.which(name)
    return found or servers.skip(
        f"needs {name}: apt-get install {name}, or {name.upper()}=/its/path"
    )


def npm_install(folder: Path, *packages: str) -> None:
    options = ["--silent", "--no-audit", "--no-fund", "--prefer-offline", "--prefix"]
    subprocess.run([program("npm"), "install", *options, str(folder), *packages], check=True)


def launch_options() -> dict[str, object]:
    """Debian's Chromium, best that without a screen. As root, it can't have a sandbox."""
    args = ["--no-sandbox"] if os.getuid() == 0 else []
    screenless = None if "CHROMIUM" in os.environ else shutil.which("chromium-headless-shell")
    return {"executable_path": screenless or program("chromium"), "args": args}


@dataclass
class Checkers:
    """axe-core and html-validate, in a folder of their own, and the pages that they have seen."""

    folder: Path
    seen: set[str] = field(default_factory=set)

    def install(self) -> None:
        npm_install(self.folder, *PACKAGES)

    def axe(self) -> str:
        return (self.folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")

    def html_validate(self, pages: list[Answer]) -> list[str]:
        """What is wrong in the HTML of these pages, by the recommended rules, all of them."""
        files = [self.folder / f"{number}.html" for number in range(len(pages))]
        for file, page in zip(files, pages, strict=True):
            file.write_bytes(page.body)
        script = str(self.folder / "node_modules/html-validate/bin/html-validate.js")
        command = [
            program("node"),
            script,
            "--preset=recommended",
            "--formatter=json",
            *map(str, files),
        ]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert done.stdout, done.stderr
        results = {result["filePath"]: result["messages"] for result in json.loads(done.stdout)}
        return [
            f"{page.url}: html-validate: {message['line']}: {message['message']}"
            for file, page in zip(files, pages, strict=True)
            for message in results.get(str(file), [])
        ]


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes


def get_again(url: str) -> Answer:
    """Get a file of the page, such as its style, from the server itself."""
    with urlopen(url, timeout=30) as response:  # noqa: S310
        return Answer(url, response.status, dict(response.headers), response.read())


@dataclass
class Browsing:
    """What a test sees in the browser, kept so that it can be checked in the end."""

    browser: Browser
    checkers: Checkers
    hosts: set[str] = field(default_factory=set)
    requested: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)  # about which address, and what
    pages: list[Answer] = field(default_factory=list)
    files: dict[str, Answer] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)  # for the bodies of these addresses

    def open(self, port: int, name: str = "127.0.0.1", **options: object) -> Page:
        """A window of a new visitor of the server on this port."""
        host = f"{name}:{port}"
        self.hosts.add(host)
        context = self.browser.new_context(base_url=f"http://{host}", **options)  # type: ignore[arg-type]
        context.on("request", lambda request: self.requested.append(request.url))
        context.on("requestfinished", self._keep)
        context.on("console", self._hear)
        context.on("weberror", self._hear_error)
        return context.new_page()

    def faults(self) -> list[str]:
        """What is wrong with the pages that were visited, a line each."""
        # Time in which the browser tells what it has seen last.
        window = self.browser.contexts[0].pages[0]
        window.wait_for_timeout(200)  # ms
        for _ in range(500):
            if self.waiting:
                window.wait_for_timeout(10)
        assert not self.waiting, self.waiting
        visited = {urlsplit(page.url).path for page in self.pages}
        failed = {page.url for page in self.pages if page.status >= 400}
        faults = [
            f"{url}: {text}"
            for url, text in self.said
            # Chromium says so itself of the page for an error, and of the icon, which it gets last,
            # where the server has ended.
            if not (url in failed and text.startswith("Failed to load resource"))
            and not re.fullmatch(r".*/icon\.svg: .* net::ERR_CONNECTION_\w+", f"{url}: {text}")
            and not (url.endswith("/favicon.ico") and NOT_OURS in visited)
        ]
        faults += [
            f"{url} is on another host"
            for url in self.requested
            if urlsplit(url).netloc not in self.hosts
        ]
        new = []
        for page in self.pages:
            if urlsplit(page.url).path == NOT_OURS:
                continue
            text = re.sub(rb'(name="csrf_token"[^>]*) value="[^"]*"', rb"\1", page.body).decode()
            if text not in self.checkers.seen:
                self.checkers.seen.add(text)
                new.append(page)
        if new:
            faults += self.checkers.html_validate(new)
            # One window for all: to open one takes longer than to look at a page.
            window = self.browser.new_page(viewport=PHONE)  # type: ignore[arg-type]
            faults += [f"{page.url}: {fault}" for page in new for fault in self._look(window, page)]
            window.close()
        return faults

    def _look(self, window: Page, answer: Answer) -> list[str]:
        """Open what was answered again, on a phone and in both color schemes."""
        window.emulate_media(color_scheme="light")
        window.route("**/*", lambda route: self._answer_again(route, answer))
        window.goto(answer.url)
        faults: list[str] = window.evaluate(SMALL_TARGETS)
        if window.evaluate(IS_WIDER):
            faults.append("scrolls sideways on a phone")
        window.evaluate(self.checkers.axe())  # like a debugger, which no policy of the page forbids
        faults += window.evaluate(AXE)
        light = window.evaluate(BACKGROUND)
        window.emulate_media(color_scheme="dark")
        faults += [f"dark: {fault}" for fault in window.evaluate(AXE)]
        if window.evaluate(BACKGROUND) == light:
            faults.append("is not dark where that is preferred")
        window.unroute_all()
        return faults

    def _answer_again(self, route: Route, page: Answer) -> None:
        """From what was kept: the server may have ended since, or have something else to say."""
        url = route.request.url
        answer = page if url == page.url else self.files.get(url)
        if answer:
            # Where a header comes twice, Playwright joins the values by a line break, and Chromium
            # waits for ever for an answer that has one: https://playwright.dev/python/docs/api/class-response
            headers = {name: value.partition("\n")[0] for name, value in answer.headers.items()}
            route.fulfill(status=answer.status, headers=headers, body=answer.body)
        else:
            route.abort()

    def _keep(self, request: Request) -> None:
        response = request.response()
        assert response
        if 300 <= response.status < 400:  # which have no body
            return
        self.waiting.append(request.url)
        try:
            answer = Answer(response.url, response.status, response.headers, response.body())
        except Error:  # the browser has gone to another page meanwhile
            if not request.is_navigation_request():
                self.files.setdefault(request.url, get_again(request.url))
        else:
            if request.is_navigation_request():
                self.pages.append(answer)
            else:
                self.files[answer.url] = answer
        finally:
            self.waiting.remove(request.url)

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append((message.location["url"], message.text))

    def _hear_error(self, error: WebError) -> None:
        self.said.append(("", str(error.error)))


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(**launch_options())  # type: ignore[arg-type]
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def checkers(tmp_path_factory: pytest.TempPathFactory) -> Checkers:
    checkers = Checkers(tmp_path_factory.mktemp("npm"))
    checkers.install()
    return checkers


@pytest.fixture
def browsing(chromium: Browser, checkers: Checkers) -> Iterator[Browsing]:
    """Opens windows; in the end, nothing may be wrong with any page that was visited in them."""
    browsing = Browsing(chromium, checkers)
    yield browsing
    faults = browsing.faults()
    for context in chromium.contexts:
        context.close()
    assert browsing.pages
    assert not faults, "\n".join(faults)
