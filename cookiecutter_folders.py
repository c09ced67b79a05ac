"""Looks after the folders that cookiecutter writes to: are they writable, do they keep a password?"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from cookiecutter.config import get_user_config

import database_uri

TEMPLATE = Path(__file__).parent
MIN_FREE_BYTES = 5_000_000
MIN_FREE_BYTES_OF_RECORD = 100_000
REPLAY_PATH = "cookiecutter_flask_migrate.replay_path"
LOCK_FILE = ".being_written"  # empty; the hook removes it


def get_options() -> dict[str, Any]:
    """Return the options of the cookiecutter command, or none where a program has called it."""
    command = click.get_current_context(silent=True)
    return command.params if command else {}


def get_replay_path() -> Path:
    """Return the file in which cookiecutter records the answers for `--replay`.

    It is found once for a command: --config-file is relative to the folder where that began.
    https://cookiecutter.readthedocs.io/en/stable/advanced/replay.html
    """
    command = click.get_current_context(silent=True)
    known: dict[str, Any] = command.meta if command else {}
    if REPLAY_PATH not in known:
        options = get_options()
        config = get_user_config(options.get("config_file"), options.get("default_config", False))
        known[REPLAY_PATH] = Path(config["replay_dir"], f"{TEMPLATE.name}.json").absolute()
    path: Path = known[REPLAY_PATH]
    return path


def check_writable() -> None:
    """Check that the command can write the project and its record.

    A program that calls cookiecutter isn't checked: it gets Python's own exception.

    Raises:
        SystemExit: It can't.
    """
    options = get_options()
    if not options:
        return
    project = Path(options.get("output_dir", "."), "project")
    for path, needed in ((project, MIN_FREE_BYTES), (get_replay_path(), MIN_FREE_BYTES_OF_RECORD)):
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise SystemExit(f"Error: {folder} can't be written: {error.strerror}.") from None
        if free < needed:
            raise SystemExit(
                f"Error: the disk is full: {folder} needs {needed / 1e6:g} MB for what is written."
            )


def find_existing(slug: str) -> Path | None:
    """Return the folder of this name, if cookiecutter would refuse it at the end of the questions."""
    options = get_options()
    if not options or options["overwrite_if_exists"] or options["skip_if_file_exists"]:
        return None
    folder = Path(options["output_dir"], slug).absolute()
    return folder if folder.exists() else None


def clean_record() -> None:
    """Remove from cookiecutter's record of the answers what has no place in it.

    That is the password of the database: the record has an answer given as `key=value`, or by a
    user's configuration, a second time as it was given, which no private variable can change. And
    it is the names of our filters and files, so that `--replay` takes those of the template as it
    is then.
    """
    record = read_replay_record()
    before = json.dumps(record)
    for answers in record.values():
        if has_password(answers):
            answers["database_uri"] = database_uri.parse(answers["database_uri"]).public
        if isinstance(answers, dict):
            for name in ("_extensions", "_copy_without_render"):
                answers.pop(name, None)
    if json.dumps(record) != before:
        get_replay_path().write_text(json.dumps(record, indent=2), encoding="utf-8")


def warn_of_recorded_password(context: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Print a note where the record is not found, because a program has set a folder for it.

    Args:
        given: The answers as they were given.
    """
    recorded = read_replay_record().get("cookiecutter", {}).get("_output_dir")
    if has_password(given) and recorded != context["_output_dir"]:
        click.echo("Note: cookiecutter's replay file holds the password of the database.", err=True)


def read_replay_record() -> dict[str, Any]:
    """Return the record, or an empty one where there is none that can be read."""
    path = get_replay_path()
    record: Any = {}
    with suppress(FileNotFoundError, json.JSONDecodeError):
        record = json.loads(path.read_text(encoding="utf-8"))
    return record if isinstance(record, dict) else {}


def has_password(answers: Mapping[str, Any]) -> bool:
    """Return whether the address in these answers can be used and holds a password."""
    try:
        uri = database_uri.parse(answers["database_uri"])
    except (AttributeError, KeyError, TypeError, database_uri.InvalidUri):  # or no such answers
        return False
    return uri.full != uri.public


def claim_project(project: Path) -> None:
    """Refuse a project that another process is writing: both have found no folder of this name.

    Raises:
        SystemExit: There is one.
    """
    lock = project / LOCK_FILE
    try:
        lock.touch(exist_ok=False)
    except FileExistsError:
        raise SystemExit(
            f"Error: another cookiecutter is writing {project}. If none is, remove {lock}."
        ) from None
