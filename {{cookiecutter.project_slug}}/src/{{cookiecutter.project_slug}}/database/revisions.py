"""Which revisions this code has, and which of them the database lacks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from . import db


def pending_revisions() -> list[str]:
    """The revisions of this code that the database has not been upgraded by, oldest first.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    heads = MigrationContext.configure(db.session.connection()).get_current_heads()
    directory = Path(current_app.extensions["migrate"].directory)
    versions = directory / "versions"
    # The folder's time of change, in nanoseconds, tells when a revision was added or removed.
    changed = versions.stat().st_mtime_ns if versions.is_dir() else 0
    parents = _parents(directory, changed)
    if any(head not in parents for head in heads):
        return []  # a newer release has migrated past us
    applied: set[str] = set()
    waiting = list(heads)
    while waiting:
        revision = waiting.pop()
        if revision not in applied:
            applied.add(revision)
            waiting.extend(parents[revision])
    return [revision for revision in parents if revision not in applied]


@lru_cache(maxsize=1)
def _parents(directory: Path, changed: int) -> dict[str, tuple[str, ...]]:
    """The revisions below each revision, oldest first; empty where there are none yet."""
    if not changed:
        return {}
    scripts = list(ScriptDirectory(directory).walk_revisions())
    return {script.revision: tuple(script._all_down_revisions) for script in reversed(scripts)}
