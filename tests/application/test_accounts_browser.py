"""Test accounts in a real browser: registration, second factor, passkey, deletion."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import Browsing
from conftest import Project, User, get
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.thorough

PASSWORD = "correct horse battery staple"  # noqa: S105
# A phone that verifies its owner: https://www.w3.org/TR/webauthn-3/#sctn-automation
PHONE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass(frozen=True)
class Site:
    """The development server of a project with accounts."""

    port: int
    log: Path

    def links(self, address: str) -> list[str]:
        """Return the links in the messages to an address, which are printed to the log."""
        text = self.log.read_text(encoding="utf-8")
        return re.findall(rf"To {re.escape(address)}: .*\n(?:.*\n)*?.*(http://\S+)", text)


@pytest.fixture(scope="module")
def site(new_user: Callable[[], User], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    project: Project = new_user().project("accounts=yes")
    path = tmp_path_factory.mktemp("log") / "stderr"
    with path.open("wb") as log, project.listen(log=log) as port:
        get(port, "/healthz")
        yield Site(port, path)


def code(key: str, steps: int = 0) -> str:
    """Return the code of an authenticator app, some half minutes later: https://www.rfc-editor.org/rfc/rfc6238."""
    counter = int(time.time()) // 30 + steps
    secret = base64.b32decode(key.replace("-", "").ljust(32, "="))
    digest = hmac.digest(secret, counter.to_bytes(8), "sha1")
    number = int.from_bytes(digest[digest[-1] & 15 :][:4]) & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def register(page: Page, site: Site, address: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="Log in").click()
    page.get_by_role("main").get_by_role("link", name="Register").click()
    page.get_by_label("Email").fill(address)
    page.get_by_label("Password", exact=True).fill("too short")
    page.get_by_label("Retype").fill("too short")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_label("Password", exact=True)).to_have_accessible_description(
        re.compile("at least 12 characters")
    )
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Retype").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("status").first).to_contain_text("Thank you")
    page.goto(site.links(address)[-1])
    expect(page.get_by_role("status").first).to_contain_text("has been confirmed")


def log_in(page: Page, address: str) -> None:
    page.get_by_label("Email").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()


def log_out(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()


def account(page: Page, link: str) -> None:
    page.get_by_role("link", name="Account", exact=True).click()
    page.get_by_role("main").get_by_role("link", name=link).click()


def test_registration_and_second_factor(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.port, "localhost")
    register(page, site, "ann@example.com")
    log_in(page, "ann@example.com")
    page.get_by_role("link", name="Notes", exact=True).click()
    page.get_by_role("link", name="Add a note").click()
    page.get_by_label("Title").fill("Milk")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("was saved")

    account(page, "Two-factor authentication")
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("img", name="The key")).to_be_visible()
    assert page.get_by_role("img").evaluate("image => image.complete && image.naturalWidth > 0")
    key = page.locator("main code").inner_text()
    page.get_by_label("Code").fill(code(key))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("main")).to_contain_text("Two-factor authentication is on")
    page.get_by_role("link", name="recovery codes").click()
    page.get_by_role("button", name="Create new codes").click()
    recovery = page.locator("main code").first.inner_text()

    log_out(page)
    page.get_by_role("link", name="Log in").click()
    log_in(page, "ann@example.com")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Code")).to_have_accessible_description("Invalid code")
    page.get_by_label("Code").fill(code(key, 1))
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    log_out(page)
    page.get_by_role("link", name="Log in").click()
    log_in(page, "ann@example.com")
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Notes", exact=True).click()
    expect(page.get_by_role("link", name="Milk")).to_be_visible()


def test_a_passkey_replaces_the_password(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.port, "localhost")
    register(page, site, "ben@example.com")
    log_in(page, "ben@example.com")
    phone = page.context.new_cdp_session(page)
    phone.send("WebAuthn.enable")
    phone.send("WebAuthn.addVirtualAuthenticator", {"options": PHONE})

    account(page, "Passkeys")
    page.get_by_label("Nickname").fill("phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("main").get_by_role("listitem")).to_contain_text(
        "phone, instead of the password"
    )

    log_out(page)
    page.get_by_role("link", name="Log in").click()
    page.get_by_role("link", name="Log in with a passkey").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    account(page, "Passkeys")
    page.get_by_role("button", name="Delete phone").click()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(0)


def test_an_account_is_managed_and_deleted(site: Site, browsing: Browsing) -> None:
    page, other = (browsing.open(site.port, "localhost") for _ in range(2))
    register(page, site, "cy@example.com")
    for browser in (page, other):
        browser.goto("/notes")
        log_in(browser, "cy@example.com")
        expect(browser.get_by_role("heading", level=1)).to_have_text("Notes")

    account(page, "Sessions")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="End the session").click()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    other.reload()
    expect(other.get_by_role("heading", level=1)).to_have_text("Log in")

    account(page, "Change your email address")
    page.get_by_label("Email").fill("cy@example.org")
    page.get_by_role("button", name="Send me a link").click()
    message = page.get_by_role("status").filter(has_text="cy@example.org")
    expect(message).to_be_visible()
    page.goto(site.links("cy@example.org")[-1])
    expect(page.get_by_role("main")).to_contain_text("logged in as cy@example.org")

    account(page, "API tokens")
    page.get_by_label("What is the token for?").fill("backup")
    page.get_by_role("button", name="Create a token").click()
    expect(page.get_by_role("status").filter(has_text="can't be shown again")).to_be_visible()
    page.get_by_role("button", name="Revoke backup").click()

    account(page, "Change your password")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("New Password").fill("another good password")
    page.get_by_label("Retype").fill("another good password")
    page.get_by_role("button", name="Save").click()
    message = page.get_by_role("status").filter(has_text="changed your password")
    expect(message).to_be_visible()

    account(page, "Delete your account")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Your account was deleted.")

    other.get_by_role("link", name="Forgot password?").click()
    other.get_by_label("Email").fill("cy@example.org")
    other.get_by_role("button", name="Send me a link").click()
    expect(other.get_by_role("status")).to_contain_text("Instructions to reset")
    other.get_by_role("link", name="Log in", exact=True).click()
    other.get_by_role("link", name="Resend the confirmation email").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Confirm your email address")
