"""The description of the API as a page; it needs no script, and nothing of another site."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from flask import render_template, request

LIMITS = {
    "format": "as a {}",
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} of them",
    "default": "{} if left out",
}


def page(spec: dict[str, Any]) -> str:
    """The page for a description in the form of OpenAPI 3.1."""
    operations = [
        _operation(spec, path, method, item.get("parameters", []), operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]
    return render_template("api_docs.html", spec=spec, operations=operations, limits=_limits)


def _operation(
    spec: dict[str, Any], path: str, method: str, shared: list[Any], operation: dict[str, Any]
) -> dict[str, Any]:
    """An operation, without the references that the page shows in their place."""
    content = operation.get("requestBody", {}).get("content", {})
    body = _follow(spec, content["application/json"]["schema"]) if content else {}
    told = {
        "title": f"{method.upper()} {path}",
        "parameters": shared + operation.get("parameters", []),
        "body": body,
        "responses": {
            status: _follow(spec, response)
            for status, response in sorted(operation["responses"].items())
        },
    }
    return operation | told | {"example": _example(path, method, told)}


def _follow(spec: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """What a reference such as {"$ref": "#/components/schemas/Note"} stands for."""
    if "$ref" in item:
        _, *names = item["$ref"].split("/")
        item = spec
        for name in names:
            item = item[name]
    return item


def _example(path: str, method: str, operation: dict[str, Any]) -> str:
    """The operation as a command to be typed in a shell."""
    command = "curl -i" if method in ("get", "post") else f"curl -i -X {method.upper()}"
    words = [f"{command} {request.host_url}{re.sub('{.+?}', '1', path[1:])}"]
{%- if cookiecutter.accounts == "yes" %}
    words.append("-H 'Authorization: Bearer …'")
{%- endif %}
    for parameter in operation["parameters"]:
        if parameter["in"] == "header" and parameter.get("required"):
            header = f"{parameter['name']}: {parameter['example']}"
            words.append(f"-H {shlex.quote(header)}")
    if operation["body"]:
        fields = operation["body"]["properties"].items()
        example = {name: field["example"] for name, field in fields if "example" in field}
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(example))}"]
    return " \\\n  ".join(words)


def _limits(schema: dict[str, Any]) -> list[str]:
    """What a value may be, in words."""
    return [words.format(schema[key]) for key, words in LIMITS.items() if schema.get(key)]
