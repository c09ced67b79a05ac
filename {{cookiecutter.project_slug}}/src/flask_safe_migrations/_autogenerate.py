"""Decides what `flask db migrate` writes, and what it refuses to write."""

import logging
import os
from copy import copy
from typing import Any

from alembic import context
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Column, Connection, inspect
from sqlalchemy.engine import Dialect

from . import _differences, _enums, _options, _ordering, _renames, _safety_checks, _types
from ._postgresql_online import split
from ._state import get_state

log = logging.getLogger("alembic.env")


def make_first_revision(options: dict[str, Any], **place: Connection | URL) -> None:
    """Write the first revision from the models alone.

    The database may hold tables of another project, and a comparison would drop them. It may even
    be unreachable: what the models say doesn't depend on it. Plugins compare it where it is there.
    """
    plugins: dict[str, Any] = {"autogenerate_plugins": []} if "url" in place else {}
    context.configure(**options | place | plugins)
    migration = context.get_context()
    list(migration.opts["fn"]((), migration))


def process_directives(
    given: Any,  # noqa: ANN401
    migration: MigrationContext,
    revision: object,
    directives: list[ops.MigrationScript],
) -> None:
    """Let the application change the revision that is being made, then make it safe."""
    for path in _differences.find_unimported_models():
        text = "Models in %s are ignored: import this module where the application is created."
        log.warning(text, os.path.relpath(path))
    is_requested = _options.is_requested()
    if is_requested and _options.is_first_revision():
        _fill_first_revision(migration, directives[0])
    before = [op for it in directives if it.downgrade_ops for op in it.downgrade_ops.ops]
    if given:
        given(migration, revision, directives)
    for script in directives[:] if is_requested else ():
        undo = script.downgrade_ops.ops if script.downgrade_ops else []
        directives.remove(script)
        directives += (scripts := _process(migration, script))
        if scripts and (base := scripts[0].downgrade_ops):  # what was added is done last
            base.ops += [op for op in undo if op not in before and op not in base.ops]


def _fill_first_revision(migration: MigrationContext, script: ops.MigrationScript) -> None:
    """Have the first revision create the models. With a connection, Alembic has seen to that."""
    if migration.connection is None:
        created: list[Any] = []
        for table in get_state().tables:
            if _options.is_included(migration, table):
                indexes = sorted(table.indexes, key=lambda index: str(index.name))
                indexes = [it for it in indexes if _options.is_included(migration, it)]
                created += [ops.CreateTableOp.from_table(table)]
                created += map(ops.CreateIndexOp.from_index, indexes)
        script.upgrade_ops = ops.UpgradeOps(created)
    elif script.upgrade_ops:
        found = _ordering.flatten(script.upgrade_ops)
        # What a plugin would drop was there before.
        script.upgrade_ops.ops = [op for op in found if not type(op).__name__.startswith("Drop")]


def _process(migration: MigrationContext, script: ops.MigrationScript) -> list[ops.MigrationScript]:
    """Turn what Alembic has found into revisions that are safe, or refuse."""
    if not get_state().tables:
        raise CommandError(_safety_checks.NO_MODELS)
    upgrade = script.upgrade_ops
    if upgrade is None or upgrade.is_empty():
        log.info("No changes: the database matches the models (only imported ones are compared).")
        return []
    scripts = [script]
    dialect = migration.dialect
    requests = _renames.Requests(context.get_x_argument(as_dictionary=False))
    _renames.apply(upgrade, requests, migration)
    if edited := _differences.find_edited(upgrade):
        raise CommandError(f"No revision was written. {edited}")
    _safety_checks.check(upgrade, dialect, requests)
    _leave_out_checks([*_ordering.flatten(upgrade)])
    if dialect.name in ("mysql", "mariadb") and migration.connection:
        _drop_indexes_of_keys(upgrade, migration.connection)
    _ordering.order(upgrade, on_mysql=dialect.name in ("mysql", "mariadb"))
    if dialect.name == "postgresql":
        _enums.create_types(upgrade, migration)
    if dialect.name == "postgresql" and not _options.is_first_revision():
        scripts = split(script, upgrade, migration.connection)
    else:
        script.downgrade_ops = ops.DowngradeOps(_ordering.reverse(upgrade.ops))
    for written in scripts:
        for operations in (written.upgrade_ops, written.downgrade_ops):
            _ordering.drop_redundant(operations)  # type: ignore[arg-type]  # there are both
            _make_generic(operations, dialect)  # type: ignore[arg-type]
        _safety_checks.allow(written.upgrade_ops, dialect, requests)  # type: ignore[arg-type]
    return scripts


def _leave_out_checks(operations: list[Any]) -> None:
    """Leave out the checks that types bring with them, where they are operations of their own."""
    checked = {op.table_name for op in operations if isinstance(op, ops.CreateCheckConstraintOp)}
    for op in operations:
        is_new = isinstance(op, ops.AddColumnOp)
        place, key = (op.column, "type") if is_new else (op, "modify_type")
        item: Any = copy(getattr(place, key, None))
        if getattr(item, "create_constraint", False) and op.table_name in checked:
            item.create_constraint = False
            setattr(place, key, item)


def _drop_indexes_of_keys(upgrade: ops.UpgradeOps, connection: Connection) -> None:
    """Drop with a foreign key the index that MySQL has made for it, and would keep."""
    inspector: Any = inspect(connection)
    for table in [op for op in upgrade.ops if isinstance(op, ops.ModifyTableOps)]:
        inner: list[Any] = table.ops
        names = {op.constraint_name for op in inner if _ordering.is_foreign_key_drop(op)}
        kept = [op.local_cols for op in inner if isinstance(op, ops.CreateForeignKeyOp)]
        for index in inspector.get_indexes(table.table_name, table.schema) if names else []:
            name, columns = index["name"], index["column_names"]
            if name in names and columns not in kept:
                made = ops.CreateIndexOp(name, table.table_name, columns, schema=table.schema)
                table.ops.append(made.reverse())


def _make_generic(operations: ops.OpContainer, dialect: Dialect) -> None:
    """Give the types that were read from the database the names that they have on each of them."""
    is_downgrade = isinstance(operations, ops.DowngradeOps)
    for op in _ordering.flatten(operations):
        if isinstance(op, ops.AlterColumnOp):
            op.existing_type = _types.make_generic(op.existing_type, dialect)
            if is_downgrade:
                op.modify_type = _types.make_generic(op.modify_type, dialect)
        elif is_downgrade and isinstance(op, ops.AddColumnOp | ops.CreateTableOp):
            for item in [op.column] if isinstance(op, ops.AddColumnOp) else op.columns:
                if isinstance(item, Column):
                    item.type = _types.make_generic(item.type, dialect)
