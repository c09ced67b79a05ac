"""Checks the answers once more, and writes the secrets: cookiecutter runs this before it writes the files."""

# The filter exits with one line, where a hook that fails would add a traceback:
# {{ cookiecutter | check_all(_cookiecutter | default({})) }}
# {% raw %}
from __future__ import annotations

import sys

sys.path.pop(0)  # the folder of this script, which is the system's folder for temporary files

import json
import os
import secrets
from pathlib import Path
from typing import Any

FULL_DATABASE_URI = "COOKIECUTTER_FLASK_MIGRATE_DATABASE_URI"
SERVERS = ("postgresql", "mysql", "mariadb")  # compose.yaml has a server of these


def main(context: dict[str, Any]) -> None:
    """Write `.env`, unless cruft renders the project elsewhere, to compare it."""
    if context["__set_up_now"] != "done":
        write_env(Path(".env"), os.environ[FULL_DATABASE_URI], context["accounts"] == "yes")


def write_env(path: Path, database_url: str, has_accounts: bool = False) -> None:
    """Write the secrets to a file that only its owner can read; keep a file that exists."""
    values = {
        "FLASK_DEBUG": "1",  # the project is developed on this machine
        "SECRET_KEY": secrets.token_hex(32),
        "DATABASE_URL": database_url,
    }
    if has_accounts:
        values["TRUSTED_HOSTS"] = "localhost,127.0.0.1"  # the links in messages lead there
    if database_url.startswith(SERVERS):
        values["DATABASE_PASSWORD"] = secrets.token_hex(16)  # of the database in compose.yaml
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(
            "# Secrets of this machine: never commit them. .env.example explains the names.\n"
        )
        file.writelines(f"{name}={quote(value)}\n" for name, value in values.items())


def quote(value: str) -> str:
    """Return the value in single quotes, as python-dotenv reads them."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    # {% endraw %}
    main(json.loads(r"""{{ cookiecutter | tojson }}"""))
