"""What the revisions of this code are, and what of them the database has."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import to_tuple
from flask import current_app

from . import db


def current() -> tuple[str, ...]:
    """The latest revisions that the database has been upgraded by: none, one or, unmerged, more.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    return MigrationContext.configure(db.session.connection()).get_current_heads()


def pending() -> list[str]:
    """The revisions of this code that the database has not been upgraded by, oldest first.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    heads = current()
    below = _parents(*_versions())
    if any(head not in below for head in heads):
        return []  # a newer release has migrated past us
    applied: set[str] = set()
    waiting = list(heads)
    while waiting:
        revision = waiting.pop()
        if revision not in applied:
            applied.add(revision)
            waiting.extend(below[revision])
    return [revision for revision in below if revision not in applied]


def exist() -> bool:
    """Whether this code has revisions: an image that was built without them can't say what is pending."""
    return bool(_parents(*_versions()))


def tables_made() -> frozenset[str]:
    """The names of all tables that a revision of this code makes, or once made."""
    return _tables_made(*_versions())


def _versions() -> tuple[Path, int]:
    """The folder of the revisions, and in nanoseconds when one was last added or removed."""
    folder = Path(current_app.extensions["migrate"].directory) / "versions"
    return folder, folder.stat().st_mtime_ns if folder.is_dir() else 0


@lru_cache(maxsize=1)
def _parents(versions: Path, changed: int) -> dict[str, tuple[str, ...]]:
    """The revisions below each revision of this code, oldest first."""
    if not changed:
        return {}
    scripts = list(ScriptDirectory(versions.parent).walk_revisions())
    return {script.revision: to_tuple(script.down_revision, ()) for script in reversed(scripts)}


@lru_cache(maxsize=1)
def _tables_made(versions: Path, changed: int) -> frozenset[str]:
    name = r"""\(\s*["'](.+?)["']"""
    made = re.compile(rf"op\.create_table{name}|op\.rename_table\([^,]+,{name[2:]}")
    texts = (path.read_text(encoding="utf-8") for path in versions.glob("*.py"))
    return frozenset(name for text in texts for names in made.findall(text) for name in names)
