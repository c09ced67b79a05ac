"""Combines the options of Alembic that the application gives with those of the extension."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.sql.schema import SchemaItem

from . import _autogenerate, _rendering
from ._state import State

OTHER_BINDS = (
    "SafeMigrate migrates the default database only. These models have a bind key: {tables}."
    "\n  To migrate each database with Flask-Migrate's own environment, without the lock and the checks"
    " of SafeMigrate, begin the folder of migrations again with: flask db init --multidb"
    "\n  To leave these models out, pass target_metadata=db.metadata to SafeMigrate."
)


def combine(given: Mapping[str, Any], state: State, arguments: list[str]) -> dict[str, Any]:
    """Return the options for `context.configure`. Hooks of the application run before ours.

    Args:
        arguments: What the command has after `-x`.
    """
    process, render = given.get("process_revision_directives"), given.get("render_item")
    include, prefix = given.get("include_name"), given.get("sqlalchemy_module_prefix", "sa.")

    def process_both(
        context: MigrationContext, revision: object, directives: list[ops.MigrationScript]
    ) -> None:
        is_requested = _autogenerate.is_requested()
        if is_requested:
            _autogenerate.fill_first_revision(context, directives[0])
        before = {id(op) for it in directives if it.downgrade_ops for op in it.downgrade_ops.ops}
        if process:
            process(context, revision, directives)
        if is_requested:
            done = [_process(context, script, before) for script in directives]
            directives[:] = [script for scripts in done for script in scripts]

    def render_both(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
        found: str | Literal[False] = render(kind, item, context) if render else False
        if found is False and (ours := _rendering.render_item(kind, item, context)):
            return re.sub(r"\bsa\.", prefix or "", ours)
        return found

    def include_both(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
        is_ours = _autogenerate.include_name(name, kind, parents)
        return is_ours and (not include or bool(include(name, kind, parents)))

    return {
        "target_metadata": state.metadata,
        "transaction_per_migration": True,
        **given,
        "process_revision_directives": process_both,
        "render_item": render_both,
        "include_name": include_both,
        "sqlite_copies": [it.removeprefix("copy=") for it in arguments if it.startswith("copy=")],
    }


def is_included(context: MigrationContext, item: SchemaItem, kind: str) -> bool:
    """Return whether `include_object` of the application takes a table or index of the models."""
    include = context.opts.get("include_object")
    return not include or bool(include(item, getattr(item, "name", None), kind, False, None))


def refuse_other_binds(state: State) -> None:
    """Stop before models that have a `__bind_key__` are left out.

    Raises:
        CommandError: There are such models.
    """
    if found := state.other_binds:
        tables = ", ".join(f"{name} ({key})" for key, names in found.items() for name in names)
        raise CommandError("No revision was written.\n\n" + OTHER_BINDS.format(tables=tables))


def _process(
    context: MigrationContext, script: ops.MigrationScript, before: set[int]
) -> list[ops.MigrationScript]:
    """Make revisions of the script, with what the application has added around it."""
    upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
    added = [op for op in (downgrade.ops if downgrade else []) if id(op) not in before]
    found = list(upgrade.ops) if upgrade else []
    irreversible = ops.MigrateOperation.reverse  # as that of op.execute(…) is
    lasting = [op for op in found if type(op).reverse is irreversible]
    first = [op for op, other in zip(found, lasting, strict=False) if op is other]
    if upgrade:
        upgrade.ops = [op for op in found if op not in lasting]
    scripts = [script] if lasting and not (upgrade and upgrade.ops) else []
    scripts = scripts or _autogenerate.process_script(context, script)
    if scripts and (start := scripts[0].upgrade_ops) and (end := scripts[-1].upgrade_ops):
        start.ops[:0] = first
        end.ops += lasting[len(first) :]
    if scripts and (undo := scripts[0].downgrade_ops):
        undo.ops += [op for op in added if op not in undo.ops]
    return scripts
