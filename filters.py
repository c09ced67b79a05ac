"""The filters of the template's files: cookiecutter.json and the hooks check answers, the others write them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import answers
import cookiecutter_folders
import database_uri

FULL_DATABASE_URI = "COOKIECUTTER_FLASK_MIGRATE_DATABASE_URI"  # an environment variable


def check_all(context: dict[str, Any], given: Mapping[str, Any]) -> str:
    """Check all answers once the project's folder is made: those of `--replay` were not checked.

    The address with its password is left in the environment for the `pre_gen_project` hook, which
    calls this; the extension removes it when the next files are rendered.

    Args:
        given: The answers as they were given; cruft passes none.

    Returns:
        An empty text.

    Raises:
        SystemExit: An answer can't be used. The folder is removed.
    """
    project = Path(context.get("_output_dir", "."), str(context["project_slug"]))
    try:
        for question in answers.CHECKS:
            set_up_now = answers.check(context, question)
    except SystemExit:
        if project.is_dir() and not any(project.iterdir()):
            project.rmdir()
        raise
    if set_up_now != answers.DONE:  # else it was checked before, unless its variable was given
        context["__set_up_now"] = set_up_now
    if "_output_dir" in context:  # cruft doesn't say where the project is
        cookiecutter_folders.claim_project(project)
        cookiecutter_folders.warn_of_recorded_password(context, given)
    os.environ[FULL_DATABASE_URI] = context["database_uri"].full
    return ""


def get_driver_packages(uri: str) -> tuple[str, ...]:
    """Return the requirements of the driver that the address names."""
    return database_uri.parse(uri).packages


def write_python(text: str) -> str:
    """Return the text as a Python literal, quoted as the formatter would."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def write_toml(text: str) -> str:
    """Return the text as it stands between the quotes of a basic string: https://toml.io/en/v1.0.0#string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


FILTERS = {
    "check": answers.check,
    "check_all": check_all,
    "driver_packages": get_driver_packages,
    "python": write_python,
    "toml": write_toml,
}
