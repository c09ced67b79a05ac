"""Explains how the models, the revisions and the database differ, and which command helps."""

import ast
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from alembic import context
from alembic.autogenerate import produce_migrations
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.script.revision import MultipleHeads, RangeNotAncestorError, RevisionError
from alembic.util import CommandError
from flask import current_app

from . import _options, _ordering, _revisions, _server
from ._state import get_state

log = logging.getLogger("alembic.env")
BASES = {"db.Model", "Model", "Base"}
comparing = Lock()  # Alembic has one context in a process


class UnknownRevision(CommandError):
    """The database is at a revision that this code doesn't have."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"The database {describe_database()} is at revision {revision}, which is not in"
            " migrations/versions. If you deleted its file, run: git restore migrations/versions. If it"
            " belongs to a newer release, another branch or another project, switch to the code that"
            " has it, or set DATABASE_URL to another database. In development, you can delete all rows"
            " of this project instead: flask db reset"
        )


def describe_database() -> str:
    return _server.describe_database(get_state().url)


@contextmanager
def explained(command: str, heads: tuple[str, ...]) -> Iterator[None]:
    """Say in words of the database what Alembic says about the graph of revisions."""
    if command == "downgrade" and not heads:
        log.info("Nothing to undo: no revision is applied to %s.", describe_database())
    try:
        yield
    except CommandError as error:
        if text := _explain(error, command, heads):
            raise CommandError(text) from error
        raise


def _explain(error: CommandError, command: str, heads: tuple[str, ...]) -> str | None:
    known, cause = context.script.get_heads(), error.__cause__
    is_behind = str(error).startswith("Target database is not up to date")
    if not is_behind and not isinstance(cause, RevisionError):
        return None
    if isinstance(cause, MultipleHeads) or (len(known) > 1 and command != "downgrade"):
        return _revisions.describe_heads(known)
    pending = _revisions.find_pending(get_state().directory, heads)
    if is_behind:
        return f"Revisions are pending: {', '.join(pending)}. Apply them first: flask db upgrade"
    target = str(context.get_context().opts.get("destination_rev"))
    if command == "downgrade" and isinstance(cause, RangeNotAncestorError):
        return f"Nothing was undone: {target} has not been applied to {describe_database()}."
    if not re.search(r"[+-]\d+$", target):
        return None
    if command == "upgrade":
        return f"{target} is out of range. Pending revisions: {len(pending)}. Run: flask db upgrade"
    applied = len([*context.script.iterate_revisions(heads, "base")])
    return (
        f"Nothing was undone: {target} is out of range. Applied revisions in"
        f" {describe_database()}: {applied}. To undo all: flask db downgrade base"
    )


def find_problem() -> str | None:
    """Return how the models and the database differ, and which command helps, or None."""
    state = get_state()
    config: Any = state.migrate.get_config()
    directory = ScriptDirectory.from_config(config)
    with (
        comparing,
        warnings.catch_warnings(action="ignore"),
        _revisions.connect(state.engine) as connection,
        EnvironmentContext(config, directory),
    ):
        heads = set(_revisions.read_heads(connection, state))
        if unknown := heads - {script.revision for script in directory.walk_revisions()}:
            return str(UnknownRevision(min(unknown)))
        options = _options.combine(state.migrate.alembic_ctx_kwargs, state, [])
        context.configure(connection=connection, **options)
        upgrade = produce_migrations(context.get_context(), options["target_metadata"]).upgrade_ops
    if upgrade is None or upgrade.is_empty():
        return None
    return find_edited(upgrade) or (
        'The models have changed without a new revision. Run: flask db migrate -m "what changed",'
        " then: flask db upgrade"
    )


def find_edited(upgrade: ops.UpgradeOps) -> str | None:
    """Return which revision, according to its file, has made already what the next one would."""
    for op in _ordering.flatten(upgrade):
        column = op.column.name if isinstance(op, ops.AddColumnOp) else ""
        if (column or isinstance(op, ops.CreateTableOp)) and (maker := _find_maker(op, column)):
            return (
                f"The database lacks {_ordering.name_of(op)}, which revision {maker} creates:"
                " the revision was edited after it was applied. Undo the edit, and run: flask db"
                " migrate. In development, you can delete all rows and rebuild: flask db reset"
            )
    return None


def _find_maker(op: Any, column: str) -> str | None:  # noqa: ANN401
    """Return the revision whose call is the last one on the table or its column, if it makes it."""
    makes = rf"""Column\(\s*["']{re.escape(column)}["']""" if column else r"op\.create_table\("
    for script in ScriptDirectory(str(get_state().directory)).walk_revisions():  # newest first
        text = Path(script.path).read_text(encoding="utf-8").partition("def downgrade")[0]
        for call in reversed(re.split(r"^    (?=op\.|with op\.)", text, flags=re.MULTILINE)[1:]):
            schemas = re.findall(r"""\bschema=["'](.+?)["']""", call) or [None]
            names = re.findall(r"""["'](.+?)["']""", call)
            is_last = re.match(r"op\.(create|drop|rename)_table\(", call) or column in names
            if names[:1] == [op.table_name] and op.schema in schemas and is_last:
                return script.revision if re.search(makes, call) else None
    return None


def find_unimported_models() -> list[Path]:
    """Return the files of the application's package that hold a model and are not imported."""
    root = Path(current_app.root_path)
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    if str(root / "__init__.py") not in imported:  # beside a single module may be anything
        return []
    return [it for it in sorted(root.rglob("*.py")) if str(it) not in imported and _has_model(it)]


def _has_model(path: Path) -> bool:
    try:
        nodes = ast.walk(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError):
        return False
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return any(ast.unparse(base) in BASES for node in classes for base in node.bases)
