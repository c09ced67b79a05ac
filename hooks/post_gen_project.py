"""Finishes what cookiecutter has just written: the secrets, the set-up, and what comes next."""

# {% raw %}
from __future__ import annotations

import sys

sys.path.pop(0)  # the folder of this script, which is the system's one for temporary files

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

# What belongs to an interface, and is there only where it was chosen.
PAGES = """
    src/{package}/home.py
    src/{package}/notes/forms.py
    src/{package}/notes/pages.py
    src/{package}/notes/templates
    src/{package}/templates/base.html
    src/{package}/templates/error.html
    src/{package}/templates/home.html
    tests/forms.py
    tests/test_home.py
    tests/test_note_pages.py
"""
API = """
    src/{package}/api.py
    src/{package}/notes/api.py
    src/{package}/static/rapidoc
    tests/test_api.py
"""

# Of accounts, and of what their API has.
ACCOUNTS = """
    src/{package}/accounts
    tests/test_accounts.py
    tests/account_fixtures.py
    tests/test_mail.py
    tests/test_tokens.py
"""
TOKENS = """
    src/{package}/accounts/forms.py
    src/{package}/accounts/tokens.py
    src/{package}/accounts/templates/accounts/tokens.html
    tests/test_tokens.py
"""

# Likewise of a kind of continuous integration.
CI = {"github": ".github", "gitlab": ".gitlab-ci.yml"}
# Databases that the dev container and compose.yaml have a server of.
SERVERS = ("postgresql", "mysql", "mariadb")


def main(context: dict[str, Any]) -> int:
    """Return the exit code for the process.

    It is 0 even where the set-up could not be finished, for cookiecutter would delete the project;
    with SET_UP_STRICT=1 in the environment, for CI, it is 1 then.
    """
    project = Path.cwd()
    (project / ".being_written").unlink(missing_ok=True)
    remove_unchosen(project, context)
    if context["__set_up_now"] == "done":
        return 0  # the project is elsewhere: cruft compares what is written
    # The answers hold it without its password: cookiecutter records them.
    full = os.environ.pop("COOKIECUTTER_FLASK_MIGRATE_DATABASE_URI", None)
    write_env(project / ".env", full or context["database_uri"])

    sys.path.insert(0, str(project))
    sys.dont_write_bytecode = True
    import set_up

    set_up.write_to_any_console()
    started_in = Path(os.environ.get("PWD", project.parent))
    if context["__set_up_now"] != "yes":
        print(f"\nThe project is written. To set it up, run:\n\n  {set_up.again(started_in)}\n")
        return 0
    set_up.end_with_parent()
    print(f"\nSetting up {context['project_name']}\n", flush=True)
    if os.environ.get("SET_UP_STRICT") == "1":
        try:
            set_up.set_up()
        except (set_up.SetUpError, OSError, KeyboardInterrupt) as error:
            print(
                f"\n{str(error) or 'Interrupted.'}\n\nThe project is not kept, because of SET_UP_STRICT=1.\n",
                flush=True,
            )
            return 1
    else:
        set_up.main(started_in)
    return 0


def remove_unchosen(project: Path, context: dict[str, Any]) -> None:
    """Remove the files of what was not chosen."""
    files = [file for name, file in CI.items() if name != context["ci"]]
    if context["__database"] not in SERVERS:
        files.append(".devcontainer/compose.yaml")
    for name, interface in (("pages", PAGES), ("api", API)):
        if name not in context["interface"]:
            files += interface.format(package=context["project_slug"]).split()
    if context["accounts"] != "yes":
        files += ACCOUNTS.format(package=context["project_slug"]).split()
    elif "api" not in context["interface"]:
        files += TOKENS.format(package=context["project_slug"]).split()
    for file in files:
        path = project / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_env(path: Path, database_url: str) -> None:
    """Write the file that holds the secrets, readable by its owner alone; keep one that is there."""
    lines = {
        "FLASK_DEBUG": "1",  # this machine is where the project is developed
        "SECRET_KEY": secrets.token_hex(32),
        "DATABASE_URL": database_url,
    }
    if database_url.startswith(SERVERS):
        lines["DATABASE_PASSWORD"] = secrets.token_hex(16)  # of the database in compose.yaml
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write("# Secrets of this machine: never to be committed. .env.example says more.\n")
        file.writelines(f"{name}={quoted(value)}\n" for name, value in lines.items())


def quoted(value: str) -> str:
    """The value in single quotes, as python-dotenv reads them."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    # {% endraw %}
    sys.exit(main(json.loads(r"""{{ cookiecutter | tojson }}""")))
