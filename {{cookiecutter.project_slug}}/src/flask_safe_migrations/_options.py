"""Combines the options of Alembic that the application gives with those of the extension."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Index, Table

from . import _rendering, _revisions
from ._state import State

OTHER_BINDS = (
    "No revision was written.\n\nSafeMigrate migrates the default database only. These tables have"
    " a bind key: {tables}.\n  To ignore them, pass target_metadata=db.metadata to SafeMigrate."
    "\n  To migrate all databases, but without the lock and the checks of SafeMigrate, move the"
    " migrations folder away, and run: flask db init --multidb"
)


def combine(given: Mapping[str, Any], state: State, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options for `context.configure`. Hooks of the application run before ours."""
    render, include = given.get("render_item"), given.get("include_name")
    prefix = given.get("sqlalchemy_module_prefix", "sa.")
    if is_requested() and (tables := ", ".join(state.other_binds)):
        raise CommandError(OTHER_BINDS.format(tables=tables))

    def render_both(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
        found: str | Literal[False] = render(kind, item, context) if render else False
        if found is False and (ours := _rendering.render_item(kind, item, context)):
            return re.sub(r"\bsa\.", prefix or "", ours)
        return found

    def include_both(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
        is_ours = kind != "table" or _is_known(name, parents, state)
        return is_ours and (not include or bool(include(name, kind, parents)))

    copies = [it.removeprefix("copy=") for it in arguments if it.startswith("copy=")]
    ours = {"render_item": render_both, "include_name": include_both, "sqlite_copies": copies}
    return {"target_metadata": state.metadata, "transaction_per_migration": True, **given, **ours}


def is_requested() -> bool:
    """Return whether the command compares the models with the database, and writes revisions."""
    return bool(getattr(context.config.cmd_opts, "autogenerate", False))


def is_first_revision() -> bool:
    return not context.script.get_heads()


def is_included(migration: MigrationContext, item: Table | Index) -> bool:
    """Return whether `include_object` of the application takes a table or index of the models."""
    include = migration.opts.get("include_object")
    kind = "table" if isinstance(item, Table) else "index"
    return not include or bool(include(item, item.name, kind, False, None))


def _is_known(name: str | None, parents: Mapping[str, str | None], state: State) -> bool:
    """Return whether a table has a model or was made by a revision: others are not ours."""
    names = {parents.get("schema_qualified_table_name") or name}
    if not parents.get("schema_name"):
        names.add(f"{context.get_context().dialect.default_schema_name}.{name}")
    known = {table.key for table in state.tables} | _revisions.made_tables(state.directory)
    return not is_first_revision() and not known.isdisjoint(names)
