"""Messages to people: checks their addresses, and sends through the server in MAIL_URL."""

from __future__ import annotations

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

TIMEOUT = 10  # seconds that the server may take for each step

log = logging.getLogger(__name__)
# Whoever asks for a message does not wait for it: else the time would tell known addresses apart.
sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class MailUtil(flask_security.MailUtil):
    """What Flask-Security does with addresses and messages."""

    def normalize(self, email: str) -> str:
        return self.validate(email)

    def validate(self, email: str) -> str:
        """Write an address in the one way in which it is stored: lower case, ASCII.

        So "Ann@Example.com" has no second account, nor has a name with a Cyrillic a. Another
        domain that looks alike is another address, which its owner has to confirm.

        Raises:
            flask_security.EmailValidateException: it is none.
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

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str | tuple[str, str],
        sender: str | tuple[str, str],
        body: str | None,
        html: str | None,
        **context: Any,  # noqa: ANN401
    ) -> None:
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
    """Send a message soon. A failure is logged: nobody waits for it.

    Without MAIL_URL, it is printed in development, and elsewhere said to be missing: there, the
    log must not have the links that such a message is for.
    """
    url: str = current_app.config["MAIL_URL"]
    if url:
        sender.submit(_deliver, url, message)
    elif current_app.debug:
        text = message.get_body(("plain",))
        log.info("To %s: %s\n\n%s", message["To"], message["Subject"], text and text.get_content())
        if has_request_context():
            flash("In development, the message is printed where flask run was typed.")
    else:
        log.error("MAIL_URL is not set: “%s” is not sent", message["Subject"])


def _deliver(url: str, message: EmailMessage) -> None:
    try:
        deliver(url, message)
    except (OSError, smtplib.SMTPException) as error:
        server = urlsplit(url).netloc.rpartition("@")[2]
        log.error("“%s” could not be sent through %s: %s", message["Subject"], server, error)


def deliver(url: str, message: EmailMessage) -> None:
    """Hand a message over to a server.

    Args:
        url: smtps://user:password@host:465, encrypted from the start, or
            smtp://user:password@host:587, encrypted as soon as the server offers it.

    Raises:
        OSError: the server can't be reached, or is not the one that its certificate names.
        smtplib.SMTPException: it does not take the message; or it offers no encryption, and there
            is a password.
    """
    parts = urlsplit(url)
    host, us = parts.hostname or "", socket.gethostname()  # else its domain would be looked up
    server = (
        smtplib.SMTP_SSL(
            host, parts.port or 465, us, timeout=TIMEOUT, context=ssl.create_default_context()
        )
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, parts.port or 587, us, timeout=TIMEOUT)
    )
    with server:
        if parts.scheme == "smtp":
            server.ehlo()
            if parts.username or server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
