"""Compares the revisions of this code with those that the database has."""

import ast
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path

import click
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError, rev_id, to_tuple
from sqlalchemy import Connection, Engine, inspect

from . import _mysql_resume
from ._state import State, get_state

# What a file of a revision says about itself.
REVISION = re.compile(r"""^revision\b[^=\n]*=\s*["'](.+?)["']""", re.MULTILINE)
PARENTS = re.compile(r"""^down_revision\b[^=\n]*=\s*([(\[][^)\]]*|["'].+?["'])""", re.MULTILINE)
NAMES = re.compile(r"""["'](.+?)["']""")


def current_revisions() -> tuple[str, ...]:
    """Return the latest revisions of the database: none, one or, with unmerged branches, more."""
    state = get_state()
    with connect(state.engine) as connection:
        return read_heads(connection, state)


def pending_revisions() -> list[str]:
    """Return the revisions that are not applied, oldest first; none if a newer release has migrated."""
    return find_pending(get_state().directory, current_revisions())


def unknown_tables() -> list[str]:
    """Return the tables of the database that no revision of this code has made."""
    state = get_state()
    version_table = state.version_table.get("version_table", "alembic_version")
    known = made_tables(state.directory) | {version_table, _mysql_resume.TABLE, "alembic_lock"}
    with connect(state.engine) as connection:
        return sorted(set(inspect(connection).get_table_names()) - known)


def connect(engine: Engine | Connection) -> AbstractContextManager[Connection]:
    """Connect; a test may have put a connection in the place of the engine."""
    return nullcontext(engine) if isinstance(engine, Connection) else engine.connect()


def read_heads(connection: Connection, state: State) -> tuple[str, ...]:
    return MigrationContext.configure(connection, opts=state.version_table).get_current_heads()


def find_pending(directory: Path, heads: tuple[str, ...]) -> list[str]:
    """Return the revisions of the directory that lead past these heads, oldest first."""
    parents = _read_parents(*_versions(directory))
    applied = set(heads)
    if applied - parents.keys():
        return []  # a newer release has migrated past us
    for revision in reversed(parents):
        if revision in applied:
            applied.update(parents[revision])
    return [revision for revision in parents if revision not in applied]


def known_revisions(directory: Path) -> set[str]:
    """Return the revisions of this code: an image that was built without them has none."""
    return set(_read_parents(*_versions(directory)))


def made_tables(directory: Path) -> frozenset[str]:
    """Return the names of all tables that a revision of the directory makes, or once made."""
    return _read_made_tables(*_versions(directory))


def _versions(directory: Path) -> tuple[Path, int]:
    """Return the folder of the revisions, and in nanoseconds when one was last added or removed."""
    folder = directory / "versions"
    return folder, folder.stat().st_mtime_ns if folder.is_dir() else 0


def check_files(versions: Path) -> None:
    """Refuse files that Alembic can't put in order, and two heads where a command needs one."""
    by_name: dict[str, Path] = {}
    parents: dict[Path, list[str]] = {}
    for path in sorted(versions.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        parents[path] = NAMES.findall("".join(PARENTS.findall(text)))
        for name in REVISION.findall(text)[:1]:
            if (other := by_name.setdefault(name, path)) != path:
                raise CommandError(
                    f"{other.name} and {path.name} have the same revision ID {name}. Delete the"
                    f' copy, or set in it: revision = "{rev_id()}" and down_revision = "{name}"'
                )
    for path, below in parents.items():
        missing = [name for name in below if name not in by_name]
        if missing and len(by_name) == len(parents):  # else a file may state it in another way
            raise CommandError(
                f"{path.name} follows revision {missing[0]}, whose file is missing. To restore it,"
                f" run: git restore {versions}. Or set down_revision to an existing revision."
            )
    heads = set(by_name) - {name for below in parents.values() for name in below}
    command = click.get_current_context(silent=True)
    if len(heads) > 1 and command and "head" in command.params.values():
        raise CommandError(describe_heads(heads))


def describe_heads(heads: Iterable[str]) -> str:
    return (
        f"There are several heads: {', '.join(sorted(heads))}. They come from branches of the code."
        ' To merge them, run: flask db merge -m "merge" heads'
    )


@lru_cache(maxsize=1)
def _read_parents(versions: Path, changed: int) -> dict[str, tuple[str, ...]]:
    """Return the revisions below each revision, oldest first."""
    if not changed:
        return {}
    check_files(versions)
    scripts = list(ScriptDirectory(versions.parent).walk_revisions())
    return {script.revision: to_tuple(script.down_revision, ()) for script in reversed(scripts)}


@lru_cache(maxsize=1)
def _read_made_tables(versions: Path, changed: int) -> frozenset[str]:
    names = set()
    for path in versions.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                place = {"create_table": 0, "rename_table": 1}.get(call.func.attr, len(call.args))
                schema = next((it.value for it in call.keywords if it.arg == "schema"), None)
                values = [getattr(it, "value", None) for it in (schema, *call.args[place:])]
                if len(values) > 1:
                    names.add(".".join(str(value) for value in values[:2] if value))
    return frozenset(names)
