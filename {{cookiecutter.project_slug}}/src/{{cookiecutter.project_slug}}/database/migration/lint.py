"""What would hurt in a revision, on the database of this project: for `flask db lint`.

PostgreSQL's revisions are read by squawk, one at a time: a table that the same text creates would
count as new, and as nobody's yet. For MySQL, MariaDB and SQLite there is a short list of our own.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory
from flask import current_app

from . import environment

# Of squawk's rules, those that are about style, and about limits that the environment sets.
NOT_DANGERS = [
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamptz",
    "require-lock-timeout",
    "require-statement-timeout",
]

# name: (what is looked for in `upgrade`, why it is a danger and what to do)
RULES = {
    "drop-table": (
        r"\bop\.drop_table\(|\bDROP\s+TABLE\b",
        "Its data is gone for good. The release that is running still reads it: stop that first.",
    ),
    "drop-column": (
        r"\bdrop_column\(|\bDROP\s+COLUMN\b",
        "Its data is gone for good. The release that is running still reads it: stop that first.",
    ),
    "rename": (
        r"\bop\.rename_table\(|\bnew_column_name\s*=|\bRENAME\s+(TO|COLUMN|TABLE)\b",
        "The release that is running knows the old name only. Add the new one, write to both, and"
        " drop the old one later.",
    ),
    "not-null-without-default": (
        r"\badd_column\((?:(?!server_default|\n    \w+\.|\n    op\.)[\s\S])*?nullable=False"
        r"(?:(?!server_default|\badd_column)[^)])*\)",
        "Rows that are there have no value for it. Give it a server_default, or fill it first.",
    ),
    "change-type": (
        r"\balter_column\((?:(?!\balter_column)[\s\S])*?\btype_\s*=",
        "The whole table is written anew; meanwhile nobody else can write to it.",
    ),
    "all-rows": (
        r"\b(?:UPDATE\s+\w+\s+SET|DELETE\s+FROM)\b(?:(?!WHERE)[^\"])*\"",
        "All rows are locked until the end of the transaction. Do it in batches, apart from"
        " changes of the schema.",
    ),
}
ALLOWED = re.compile(r"#\s*lint: allow ([\w-]+)(?::\s*(\S.*))?")


@dataclass(frozen=True)
class Finding:
    """A danger in a revision."""

    revision: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.revision}: {self.rule}\n  {self.reason}\n"
            f"  If it is right here, write in the revision: # lint: allow {self.rule}: and why"
        )


def lint(wanted: Sequence[str] = ()) -> list[Finding]:
    """Look through these revisions, or through all.

    Raises:
        alembic.util.CommandError: there is no such revision.
    """
    directory = ScriptDirectory(current_app.extensions["migrate"].directory)
    scripts: list[Script] = (
        [script for name in wanted for script in directory.get_revisions(name) if script]
        if wanted
        else list(directory.walk_revisions())[::-1]
    )
    scripts = [script for script in scripts if not script.is_merge_point]
    if environment.database_url().get_backend_name() == "postgresql":
        found = _squawk({script.revision: _sql(directory, script) for script in scripts})
    else:
        found = {script.revision: list(_own_list(script)) for script in scripts}
    return [finding for script in scripts for finding in _findings(script, found[script.revision])]


def _findings(script: Script, found: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """What was found and is not allowed in the revision."""
    allowed = dict(ALLOWED.findall(Path(script.path).read_text(encoding="utf-8")))
    for rule, why in allowed.items():
        if not why:
            yield Finding(script.revision, rule, "It is allowed without a reason.")
    for rule, reason in found:
        if rule not in allowed:
            yield Finding(script.revision, rule, reason)


def _own_list(script: Script) -> Iterator[tuple[str, str]]:
    source = inspect.getsource(script.module.upgrade)
    for rule, (pattern, reason) in RULES.items():
        if re.search(pattern, source):
            yield rule, reason


def _sql(directory: ScriptDirectory, script: Script) -> str:
    """What the upgrade by this revision alone would send to the database."""
    config = current_app.extensions["migrate"].migrate.get_config()
    config.output_buffer = StringIO()
    below = script.down_revision if isinstance(script.down_revision, str) else "base"

    def steps(revisions: object, context: object) -> list[RevisionStep]:
        return [MigrationStep.upgrade_from_script(directory.revision_map, script)]

    with EnvironmentContext(
        config, directory, fn=steps, as_sql=True, starting_rev=below, destination_rev="head"
    ):
        directory.run_env()
    return str(config.output_buffer.getvalue())


def _squawk(texts: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """The rules that each text breaks, and why they are there."""
    beside = shutil.which("squawk", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("squawk") or "squawk"
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in texts}
    with TemporaryDirectory() as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        done = subprocess.run(  # noqa: S603
            [program, "--reporter=json", f"--exclude={','.join(NOT_DANGERS)}", *texts],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    for one in json.loads(done.stdout):
        found[one["file"]].append(
            (one["rule_name"], f"{one['message']} {one['help'] or ''}".strip())
        )
    return found
