"""Messages are sent through a mail server, encrypted where there is a password."""

from __future__ import annotations

import datetime
import logging
import os
import smtplib
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask, get_flashed_messages

from {{ cookiecutter.project_slug }}.accounts import mail


class Server(socketserver.ThreadingTCPServer):
    """A mail server on this machine that records what it receives."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None, *, encrypted: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.context, self.encrypted = context, encrypted
        self.received: list[str] = []


class Conversation(socketserver.BaseRequestHandler):
    """A conversation with a client: https://www.rfc-editor.org/rfc/rfc5321."""

    server: Server

    def handle(self) -> None:
        try:
            if self.server.encrypted:
                self.encrypt()
            self.write("220 ready")
            while line := self.read():
                self.answer(line)
        except OSError:
            pass  # the client has hung up
        finally:
            self.request.close()

    def encrypt(self) -> None:
        assert self.server.context
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.server.received.append("(encrypted)")

    def answer(self, line: str) -> None:
        self.server.received.append(line)
        word = line.split()[0].upper()
        if word == "EHLO":
            offered = [] if self.server.context is None else ["STARTTLS"]
            names = ["localhost", *offered, "AUTH PLAIN"]
            for name in names[:-1]:
                self.write(f"250-{name}")
            self.write(f"250 {names[-1]}")
        elif word == "STARTTLS":
            self.write("220 continue" if self.server.context else "502 no")
            if self.server.context:
                self.encrypt()
        elif word == "DATA":
            self.write("354 continue")
            while (text := self.read()) != ".":
                self.server.received.append(text)
            self.write("250 accepted")
        else:
            self.write({"AUTH": "235 welcome", "QUIT": "221 bye"}.get(word, "250 ok"))

    def write(self, line: str) -> None:
        self.request.sendall(f"{line}\r\n".encode())

    def read(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            if not (byte := self.request.recv(1)):
                return ""
            line += byte
        return line.decode().removesuffix("\r\n")


@pytest.fixture
def listen() -> Iterator[Callable[[Server], int]]:
    """Return a function that starts a server, and returns its port."""
    servers: list[Server] = []

    def start(server: Server) -> int:
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def empty_certificate_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust no certificate: those of the machine take long to read."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a certificate for localhost. Its key is the file "key" beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate"


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key"))
    return context


@pytest.fixture
def message() -> EmailMessage:
    """Return a message."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Milk", "a@example.com", "b@example.com"
    message.set_content("Two litres")
    return message


Listen = Callable[[Server], int]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_message_is_encrypted_for_the_server_with_the_certificate(
    scheme: str,
    listen: Listen,
    context: ssl.SSLContext,
    message: EmailMessage,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = Server(context, encrypted=scheme == "smtps")

    mail.deliver(f"{scheme}://ann:p%40ss@localhost:{listen(server)}", message)

    assert server.received.index("(encrypted)") < server.received.index("Two litres")
    (login,) = (line for line in server.received if line.startswith("AUTH"))
    assert login == "AUTH PLAIN AGFubgBwQHNz"
    assert server.received.index("(encrypted)") < server.received.index(login)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_an_untrusted_certificate_receives_nothing(
    scheme: str, listen: Listen, context: ssl.SSLContext, message: EmailMessage
) -> None:
    server = Server(context, encrypted=scheme == "smtps")

    with pytest.raises(ssl.SSLCertVerificationError):
        mail.deliver(f"{scheme}://ann:pass@localhost:{listen(server)}", message)

    assert not [line for line in server.received if line.startswith(("AUTH", "MAIL"))]


def test_a_password_is_never_sent_unencrypted(listen: Listen, message: EmailMessage) -> None:
    server = Server(None)

    with pytest.raises(smtplib.SMTPException, match="STARTTLS"):
        mail.deliver(f"smtp://ann:pass@localhost:{listen(server)}", message)

    assert not [line for line in server.received if line.startswith("AUTH")]


def test_a_server_without_a_password_needs_no_encryption(
    listen: Listen, message: EmailMessage, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(None)
    monkeypatch.setitem(app.config, "MAIL_URL", f"smtp://localhost:{listen(server)}")

    with app.app_context():
        mail.send(message)
    mail.executor.submit(str).result()  # the messages before it are sent then

    assert "Two litres" in server.received


def test_a_message_that_cannot_be_sent_is_logged(
    message: EmailMessage,
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(app.config, "MAIL_URL", "smtp://ann:password-of-ann@localhost:9")

    with app.app_context():
        mail.send(message)
    mail.executor.submit(str).result()

    assert "“Milk” could not be sent through localhost:9: " in caplog.text
    assert "password-of-ann" not in caplog.text


def test_without_a_server_the_log_says_so_but_not_the_text(
    message: EmailMessage, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with app.app_context():
        mail.send(message)

    assert "MAIL_URL is not set" in caplog.text
    assert "Two litres" not in caplog.text


def test_in_development_the_message_is_printed(
    message: EmailMessage,
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(app.config, "DEBUG", True)
    caplog.set_level(logging.INFO)

    with app.test_request_context():
        mail.send(message)
        assert "printed in the terminal of flask run" in str(get_flashed_messages())
    with app.app_context():
        mail.send(message)

    assert "To b@example.com: Milk\n\nTwo litres" in caplog.text
