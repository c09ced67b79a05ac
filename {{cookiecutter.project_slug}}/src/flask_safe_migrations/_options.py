"""Combines the options of Alembic that the application gives with those of the extension."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Index, Table

from . import _autogenerate, _rendering
from ._state import State

OTHER_BINDS = (
    "No revision was written.\n\nSafeMigrate migrates the default database only. These models have a"
    " bind key: {tables}.\n  To migrate each database with Flask-Migrate's own environment, without"
    " the lock and the checks of SafeMigrate, begin the folder of migrations again with: flask db init"
    " --multidb\n  To leave these models out, pass target_metadata=db.metadata to SafeMigrate."
)


def combine(given: Mapping[str, Any], state: State, arguments: list[str]) -> dict[str, Any]:
    """Return the options for `context.configure`. Hooks of the application run before ours."""
    is_requested = _autogenerate.is_requested()
    process, render = given.get("process_revision_directives"), given.get("render_item")
    include, prefix = given.get("include_name"), given.get("sqlalchemy_module_prefix", "sa.")
    if is_requested and (tables := ", ".join(state.other_binds)):
        raise CommandError(OTHER_BINDS.format(tables=tables))

    def process_both(
        context: MigrationContext, revision: object, directives: list[ops.MigrationScript]
    ) -> None:
        if is_requested and _autogenerate.is_first_revision():
            _autogenerate.fill_first_revision(context, directives[0])
        before = [op for it in directives if it.downgrade_ops for op in it.downgrade_ops.ops]
        if process:
            process(context, revision, directives)
        if is_requested:
            for script in directives[:]:
                undo = script.downgrade_ops.ops if script.downgrade_ops else []
                directives.remove(script)
                directives += (scripts := _autogenerate.process_script(context, script))
                if scripts and (base := scripts[0].downgrade_ops):  # what was added is done last
                    base.ops += [op for op in undo if op not in before and op not in base.ops]

    def render_both(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
        found: str | Literal[False] = render(kind, item, context) if render else False
        if found is False and (ours := _rendering.render_item(kind, item, context)):
            return re.sub(r"\bsa\.", prefix or "", ours)
        return found

    def include_both(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
        is_ours = _autogenerate.include_name(name, kind, parents)
        return is_ours and (not include or bool(include(name, kind, parents)))

    ours: dict[str, Any] = {"process_revision_directives": process_both, "render_item": render_both}
    copies = [it.removeprefix("copy=") for it in arguments if it.startswith("copy=")]
    ours |= {"include_name": include_both, "sqlite_copies": copies}
    return {"target_metadata": state.metadata, "transaction_per_migration": True, **given, **ours}


def is_included(context: MigrationContext, item: Table | Index) -> bool:
    """Return whether `include_object` of the application takes a table or index of the models."""
    include = context.opts.get("include_object")
    kind = "table" if isinstance(item, Table) else "index"
    return not include or bool(include(item, item.name, kind, False, None))
