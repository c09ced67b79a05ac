"""Finds what is dangerous in revisions, on the database of this project: `flask db lint`.

Each revision is written as SQL by itself, because a table that the same text creates counts as new
and unused. squawk reads it for PostgreSQL; rules.toml has rules for the others.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.ddl.base import ColumnComment
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.compiler import compiles

from . import _revisions
from ._state import get_state

UNREADABLE = "upgrade() can't run without a database. Review all statements after this error:"
PACKAGE = Path(__file__).parent
RULES = tomllib.loads((PACKAGE / "rules.toml").read_text(encoding="utf-8"))
ALLOWED = re.compile(r"#\s*lint: allow ([\w-]+)(?::\s*(\S.*))?")

# Alembic has no general form of it.
compiles(ColumnComment)(lambda *_, **options: "-- The comment of a column changes")

Finding = tuple[str, str]  # the rule, and the reason why it is dangerous


def lint(wanted: Sequence[str] = ()) -> list[str]:
    """Return what is dangerous in these revisions, or in all: a text for each rule that is broken."""
    state = get_state()
    _revisions.check_files(state.directory / "versions")
    directory = ScriptDirectory(str(state.directory))
    chosen = [it for name in wanted for it in directory.get_revisions(name)]
    scripts = [it for it in chosen or [*directory.walk_revisions()][::-1] if it]
    scripts = [script for script in scripts if not script.is_merge_point]
    backend = state.url.get_backend_name()
    rules = {name: rule for name, rule in RULES.items() if backend not in rule["not_on"]}
    texts, found = {}, {}
    for script in scripts:
        text, found[script.revision] = _write(script, state.url)
        texts[script.revision] = text
        statements = [" ".join(it.split()) for it in re.split(r";\s*$", text, flags=re.MULTILINE)]
        for name, rule in rules.items():
            if any(re.search(rule["pattern"], it, re.IGNORECASE) for it in statements):
                found[script.revision].append((name, rule["reason"]))
    for revision, name, reason in _run_squawk(texts) if backend == "postgresql" else ():
        found[revision].append((name, reason))
    return [text for script in scripts for text in _describe(script, found[script.revision])]


def _describe(script: Script, found: Iterable[Finding]) -> Iterator[str]:
    allowed = dict(ALLOWED.findall(Path(script.path).read_text(encoding="utf-8")))
    bare = [(rule, "The lint comment has no reason.") for rule, why in allowed.items() if not why]
    for rule, reason in [*bare, *(it for it in found if it[0] not in allowed)]:
        yield (
            f"{script.revision}: {rule}\n  {reason}\n"
            f"  If it is safe here, add to the revision file: # lint: allow {rule}: REASON"
        )


def _write(script: Script, url: URL) -> tuple[str, list[Finding]]:
    """Return the SQL that the upgrade by this revision would send to the database."""
    dialect: Dialect = url.get_dialect()()
    if dialect.name != "postgresql":
        # The usual ALTER TABLE names each change, where SQLite copies the table that it finds in
        # the database, and MySQL writes MODIFY for each change of a column.
        types, dialect = dialect.type_compiler_instance, DefaultDialect()
        dialect.type_compiler_instance = types
    text = StringIO()
    migration = MigrationContext.configure(
        dialect=dialect, opts={"as_sql": True, "output_buffer": text, "literal_binds": True}
    )
    unreadable: list[Finding] = []
    with Operations.context(migration), migration.begin_transaction():
        try:
            script.module.upgrade()
        except Exception as error:
            unreadable = [("unreadable", f"{UNREADABLE} {type(error).__name__}: {error}")]
    return text.getvalue(), unreadable


def _run_squawk(texts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return which text breaks which rule of squawk, and why that is dangerous."""
    beside = shutil.which("squawk", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("squawk")
    if not program:
        raise CommandError(
            "squawk is not installed. flask db lint needs it for PostgreSQL. To install it, run:"
            " pip install squawk-cli"
        )
    with TemporaryDirectory() as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        command = [program, "--reporter=json", f"--config={PACKAGE / 'squawk.toml'}", *texts]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    try:
        findings = json.loads(done.stdout)
    except ValueError as error:
        said = " ".join(done.stderr.split())
        raise CommandError(
            f"squawk could not check the revisions ({said}). Its version may be too old. To update"
            " it, run: pip install --upgrade squawk-cli"
        ) from error
    return [
        (it["file"], it["rule_name"], f"{it['message']} {it['help'] or ''}".strip())
        for it in findings
    ]
