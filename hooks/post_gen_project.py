"""Removes the files that were not chosen, and sets the project up: cookiecutter runs this at the end."""

# {% raw %}
from __future__ import annotations

import sys

sys.path.pop(0)  # the folder of this script, which is the system's folder for temporary files

import json
import os
import shutil
from pathlib import Path
from typing import Any

# The files of each interface.
PAGES = """
    src/{package}/pages.py
    src/{package}/notes/forms.py
    src/{package}/notes/pages.py
    src/{package}/notes/templates
    src/{package}/static/pico
    src/{package}/static/style.css
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
    src/{package}/templates/rapidoc.html
    tests/test_api.py
    tests/test_note_api.py
"""

# The files of accounts, and of their tokens for the API.
ACCOUNTS = """
    src/{package}/accounts
    tests/test_accounts.py
    tests/account_factories.py
    tests/test_mail.py
    tests/test_note_owners.py
    tests/test_note_tokens.py
    tests/test_passkeys.py
    tests/test_tokens.py
"""
TOKENS = """
    src/{package}/accounts/tokens.py
    src/{package}/accounts/templates/accounts/tokens.html
    tests/test_note_tokens.py
    tests/test_tokens.py
"""

# The files of each continuous integration.
CI = {"github": ".github", "gitlab": ".gitlab-ci.yml"}
# Databases for which the dev container starts a server.
SERVERS = ("postgresql", "mysql", "mariadb")


def main(context: dict[str, Any]) -> int:
    """Return the exit code of the process.

    It is 0 even where the set-up failed, because cookiecutter would delete the project. With
    SET_UP_STRICT=1 in the environment, for CI, it is 1 then.
    """
    project = Path.cwd()
    (project / ".being_written").unlink(missing_ok=True)
    remove_unchosen(project, context)
    if context["__set_up_now"] == "done":
        return 0  # the project is elsewhere: cruft renders it again to compare it
    sys.path.insert(0, str(project / "bin"))
    sys.dont_write_bytecode = True
    import set_up

    os.environ.setdefault("PWD", str(project.parent))  # the folder of the user's shell
    set_up.replace_unknown_characters()
    if context["__set_up_now"] != "yes":
        print(f"\nThe project is written. To set it up, run:\n\n  {set_up.retry_command()}\n")
        return 0
    set_up.exit_with_parent()
    print(f"\nSetting up {context['project_name']}\n", flush=True)
    if os.environ.get("SET_UP_STRICT") != "1":
        set_up.main()
        return 0
    try:
        set_up.set_up()
    except (set_up.SetUpError, OSError, KeyboardInterrupt) as error:
        print(f"\n{str(error) or 'Interrupted.'}\n")
        print("The project is deleted, because SET_UP_STRICT=1 is set.\n", flush=True)
        return 1
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
    # Python leaves them in the template's folder where the tools are imported from there.
    compiled = (project / "src").glob("flask_*/**/__pycache__")
    for path in [*compiled, *(project / file for file in files)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    # {% endraw %}
    sys.exit(main(json.loads(r"""{{ cookiecutter | tojson }}""")))
