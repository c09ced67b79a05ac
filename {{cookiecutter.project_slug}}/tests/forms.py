"""Fill in forms as a browser does, with their hidden fields."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class Form(HTMLParser):
    """The fields of the last form of a page, with their values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self._text = ""  # the name of the text area that is read
        self._select, self._is_multiple = "", False  # the list of options that is read
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("name") or ""
        if tag == "form":
            self.fields = {}
        elif tag == "input" and name:
            empty = attributes.get("type") == "checkbox" and "checked" not in attributes
            self.fields[name] = "" if empty else attributes.get("value") or ""
        elif tag == "textarea":
            self._text, self.fields[name] = name, ""
        elif tag == "select":
            self._select, self._is_multiple = name, "multiple" in attributes
            self.fields[name] = []
        elif tag == "option":
            chosen, value = self.fields[self._select], attributes.get("value") or ""
            if "selected" in attributes or not (chosen or self._is_multiple):
                self.fields[self._select] = [*chosen * self._is_multiple, value]

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = ""


def submit(client: FlaskClient, path: str, **values: Any) -> TestResponse:
    """Open a page, send its form with these values, and follow a redirect."""
    answer = open_and_send(client, path, **values)
    return client.get(answer.location) if answer.location else answer


def open_and_send(client: FlaskClient, path: str, **values: Any) -> TestResponse:
    """Open a page, and send its form with these values."""
    fields = Form(client.get(path).text).fields
    assert values.keys() <= fields.keys()
    return client.post(path, data=fields | values)
