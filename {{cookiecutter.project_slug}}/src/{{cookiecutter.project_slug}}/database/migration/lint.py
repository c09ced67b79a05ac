"""What would hurt in a revision, on the database of this project: for `flask db lint`.

Each revision is written as SQL by itself: a table that the same text creates would count as new,
and as nobody's yet. squawk reads it for PostgreSQL; for the others there is a short list of our own.
"""

from __future__ import annotations

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

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import URL
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect

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

# name: (what is looked for in a statement, why it is a danger and what to do)
RULES = {
    "drop-table": (
        r"^DROP\s+TABLE\b",
        "Its data is gone for good. The release that is running still reads it: stop that first.",
    ),
    "drop-column": (
        r"\bDROP\s+COLUMN\b",
        "Its data is gone for good. The release that is running still reads it: stop that first.",
    ),
    "rename": (
        r"\bRENAME\s+(?!INDEX|KEY|CONSTRAINT)|\bCHANGE\b",
        "The release that is running knows the old name only. Add the new one, write to both, and"
        " drop the old one later.",
    ),
    "not-null-without-default": (
        r"\bADD\s+COLUMN\b(?!.*\b(DEFAULT|GENERATED|AUTO_INCREMENT)\b).*\bNOT\s+NULL\b",
        "Rows that are there have no value for it. Give it a server_default, or fill it first.",
    ),
    "change-type": (
        r"\bALTER\s+COLUMN\s+\S+\s+TYPE\b|\bMODIFY\b",
        "The whole table may be written anew; meanwhile nobody else can write to it.",
    ),
    "all-rows": (
        r"^(UPDATE|DELETE)\b(?!.*\bWHERE\b)",
        "All rows are locked until the end of the transaction. Do it in batches, apart from"
        " changes of the schema.",
    ),
}
ALLOWED = re.compile(r"#\s*lint: allow ([\w-]+)(?::\s*(\S.*))?")

Danger = tuple[str, str]  # the rule, and the reason why it is one


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
        CommandError: there is no such revision, or squawk has failed.
    """
    directory = ScriptDirectory(current_app.extensions["migrate"].directory)
    scripts: list[Script] = (
        [script for name in wanted for script in directory.get_revisions(name) if script]
        if wanted
        else list(directory.walk_revisions())[::-1]
    )
    scripts = [script for script in scripts if not script.is_merge_point]
    url = environment.database_url()
    on_postgresql = url.get_backend_name() == "postgresql"
    rules = ["all-rows"] if on_postgresql else [*RULES]  # squawk has rules for all but this
    texts, found = {}, {}
    for script in scripts:
        texts[script.revision], unreadable = _write(script, url)
        found[script.revision] = [*unreadable, *_own_list(texts[script.revision], rules)]
    if on_postgresql:
        for revision, dangers in _squawk(texts).items():
            found[revision] += dangers
    return [finding for script in scripts for finding in _findings(script, found[script.revision])]


def _findings(script: Script, found: Iterable[Danger]) -> Iterator[Finding]:
    """What was found and is not allowed in the revision."""
    allowed = dict(ALLOWED.findall(Path(script.path).read_text(encoding="utf-8")))
    for rule, why in allowed.items():
        if not why:
            yield Finding(script.revision, rule, "It is allowed without a reason.")
    for rule, reason in found:
        if rule not in allowed:
            yield Finding(script.revision, rule, reason)


def _write(script: Script, url: URL) -> tuple[str, list[Danger]]:
    """What the upgrade by this revision would send to the database, in SQL."""
    dialect: Dialect = url.get_dialect()()
    if dialect.name != "postgresql":
        # The usual ALTER TABLE says what is meant, where SQLite makes a table anew from what it
        # finds in the database, and MySQL writes MODIFY for each change of a column.
        types = dialect.type_compiler_instance
        dialect = DefaultDialect()
        dialect.type_compiler_instance = types
    text = StringIO()
    migration = MigrationContext.configure(
        dialect=dialect, opts={"as_sql": True, "output_buffer": text, "literal_binds": True}
    )
    unreadable = []
    with Operations.context(migration), migration.begin_transaction():
        try:
            script.module.upgrade()
        except Exception as error:
            reason = (
                "What it does can't be told without a database: only the statements before that"
                f" were looked through. Read the others yourself. {type(error).__name__}: {error}"
            )
            unreadable.append(("unreadable", reason))
    return text.getvalue(), unreadable


def _own_list(text: str, rules: Iterable[str]) -> Iterator[Danger]:
    statements = [" ".join(statement.split()) for statement in re.split(r";\s*$", text, flags=re.M)]
    for rule in rules:
        pattern, reason = RULES[rule]
        if any(re.search(pattern, statement, re.IGNORECASE) for statement in statements):
            yield rule, reason


def _squawk(texts: Mapping[str, str]) -> dict[str, list[Danger]]:
    """The rules that each text breaks, and why they are there.

    Raises:
        CommandError: squawk has failed.
    """
    beside = shutil.which("squawk", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("squawk") or "squawk"
    found: dict[str, list[Danger]] = {name: [] for name in texts}
    with TemporaryDirectory() as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        done = subprocess.run(  # noqa: S603
            [program, "--reporter=json", f"--exclude={','.join(NOT_DANGERS)}", *texts],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    try:
        dangers = json.loads(done.stdout)
    except ValueError as error:
        said = " ".join(done.stderr.split())
        raise CommandError(
            f"squawk could not look through the revisions: {said} An older one may not know all"
            " options; to install the newest: uv sync --upgrade-package squawk-cli"
        ) from error
    for one in dangers:
        found[one["file"]].append(
            (one["rule_name"], f"{one['message']} {one['help'] or ''}".strip())
        )
    return found
