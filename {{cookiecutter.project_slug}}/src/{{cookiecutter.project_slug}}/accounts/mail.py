"""Messages: checks addresses, and sends through the server in MAIL_URL."""

import logging
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import unquote, urlsplit

import email_validator
import flask_security
from flask import current_app, flash, has_request_context
from flask_security.utils import get_message

TIMEOUT = 10  # seconds for each step of the conversation with the server

log = logging.getLogger(__name__)
# Requests don't wait for the server: their time would show which addresses are known.
executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class MailUtil(flask_security.MailUtil):
    """Normalize addresses and send messages for Flask-Security."""

    def validate(self, email: str) -> str:
        """Return an address in the form in which it is stored: lower case, ASCII.

        "Ann@Example.com" is "ann@example.com", and a name with a Cyrillic a is refused. A domain
        that looks like another is a different address, which its owner has to confirm.

        Raises:
            flask_security.EmailValidateException: The address is invalid.
        """
        try:
            valid = email_validator.validate_email(
                email.strip(), allow_smtputf8=False, check_deliverability=False
            )
        except email_validator.EmailNotValidError:
            raise flask_security.EmailValidateException(
                get_message("INVALID_EMAIL_ADDRESS")[0]
            ) from None
        return f"{valid.local_part}@{valid.ascii_domain}".lower()

    normalize = validate

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str | tuple[str, str],
        sender: str | tuple[str, str],
        body: str | None,
        html: str | None,
        **context: Any,
    ) -> None:
        """Build a message of text and HTML, and send it."""
        message = EmailMessage()
        message["Subject"] = f"{current_app.config['PROJECT_NAME']}: {subject}"
        message["From"] = str(sender)
        message["To"] = str(recipient)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=str(sender).rpartition("@")[2].strip("> "))
        message.set_content((body or "").strip() + "\n")
        message.add_alternative(html or "", subtype="html")
        send(message)


def send(message: EmailMessage) -> None:
    """Send a message in the background, and log a failure.

    Without MAIL_URL, print the message in development. In production, log that it is not sent, but
    not its text: the links in it are secret.
    """
    url: str = current_app.config["MAIL_URL"]
    if url:
        executor.submit(_deliver, url, message)
    elif current_app.debug:
        text = message.get_body(("plain",))
        log.info("To %s: %s\n\n%s", message["To"], message["Subject"], text and text.get_content())
        if has_request_context():
            flash("In development, no email is sent: it is printed in the terminal of flask run.")
    else:
        log.error("MAIL_URL is not set: “%s” is not sent", message["Subject"])


def _deliver(url: str, message: EmailMessage) -> None:
    try:
        deliver(url, message)
    except (OSError, smtplib.SMTPException) as error:
        server = urlsplit(url).netloc.rpartition("@")[2]
        log.error("“%s” could not be sent through %s: %s", message["Subject"], server, error)


def deliver(url: str, message: EmailMessage) -> None:
    """Send a message through a server.

    Args:
        url: smtps://user:password@host:465 encrypts from the start. smtp://user:password@host:587
            encrypts if the server offers it, and always where there is a password.

    Raises:
        OSError: The server can't be reached, or its certificate is invalid.
        smtplib.SMTPException: The server refuses the message, or offers no encryption for the
            password.
    """
    parts = urlsplit(url)
    # By default, smtplib looks up the domain of this machine, which may take long.
    host, local_name = parts.hostname or "", socket.gethostname()
    context = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, parts.port or 465, local_name, timeout=TIMEOUT, context=context)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 587, local_name, timeout=TIMEOUT)
    )
    with server:
        if parts.scheme == "smtp":
            server.ehlo()
            if parts.username or server.has_extn("starttls"):
                server.starttls(context=context)
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
