"""Compares the checks of the models with those of the database, by name and text.

A database writes a check in its own way. So it gets that of the model, in a temporary table, too.
"""

import re
from hashlib import sha256
from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import PriorityDispatchResult
from sqlalchemy import JSON, CheckConstraint, Column, Connection, MetaData, Table, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable, conv
from sqlalchemy.sql import text
from sqlalchemy.sql.elements import TextClause

TABLE = "alembic_checks"
NAMED = re.compile(r".*_check\d*|.*_chk_\d+|CONSTRAINT_\d+")  # by the server, as the model has none
Texts = dict[str, str]  # of checks, by their names
# It compares names, where the application asks for it.
PLUGIN = re.compile(r"alembic\.(ext\.\*|\w+\.checkconstraint_byname)")
# MariaDB marks a column of JSON by a check, which has the name of the column.
JSON_COLUMNS = text(
    "SELECT constraint_name FROM information_schema.check_constraints WHERE table_name = :table AND"
    " constraint_schema = COALESCE(:schema, DATABASE()) AND check_clause LIKE 'json_valid(%)'"
)


def name_check(constraint: Any, table: Table) -> str:  # noqa: ANN401
    """Return a name for a naming convention: that of the check, or the digest of its text."""
    if isinstance(constraint.name, str):
        return constraint.name
    return sha256(str(constraint.sqltext).encode()).hexdigest()[:8]


@comparators.dispatch_for("table")
def compare_checks(context: AutogenContext, *compared: Any) -> PriorityDispatchResult:  # noqa: ANN401
    modify, schema, name, found, model = compared
    chosen = context.opts.get("autogenerate_plugins") or ()
    if found is None or context.connection is None or any(map(PLUGIN.fullmatch, chosen)):
        return PriorityDispatchResult.CONTINUE
    before = _read_checks(context.connection, name, schema)
    if getattr(context.dialect, "is_mariadb", False):
        place = {"table": name, "schema": schema}
        for (column,) in context.connection.execute(JSON_COLUMNS, place):
            before.pop(column, None)
            found.c[column].type = JSON()  # where the column is dropped, it comes back as that
    if model is None:  # the table comes back with its checks, in place of what SQLAlchemy reads
        found.constraints -= {it for it in found.constraints if isinstance(it, CheckConstraint)}
        for key, sql in before.items():
            found.append_constraint(CheckConstraint(_text(sql), name=conv(key)))
        return PriorityDispatchResult.CONTINUE
    wanted = _model_checks(model, context)
    before = {key: it for key, it in before.items() if key in wanted or not NAMED.fullmatch(key)}
    texts = _normalize(context.connection, found, model, wanted)
    if texts is None:  # unknown: only the names are compared
        texts = {key: before.get(key, "") for key in wanted}
    for key in sorted(before.keys() | wanted.keys()):
        if before.get(key) == texts.get(key):
            continue
        if key in before:
            old: Any = CheckConstraint(_text(before[key]), name=conv(key), table=found)
            modify.ops.append(ops.DropConstraintOp.from_constraint(old))
        if key in wanted:
            new: Any = CheckConstraint(_text(wanted[key]), name=conv(key), table=found)
            modify.ops.append(ops.AddConstraintOp.from_constraint(new))
    return PriorityDispatchResult.CONTINUE


def _read_checks(connection: Connection, name: str, schema: str | None) -> Texts:
    return {
        str(check["name"]): " ".join(check["sqltext"].split())
        for check in inspect(connection).get_check_constraints(name, schema)
        if check["name"]
    }


def _text(sql: str) -> TextClause:
    """Return the SQL as it is: a colon in it is no parameter."""
    return text(sql.replace(":", r"\:"))


def _model_checks(model: Table, context: AutogenContext) -> Texts:
    """Return the texts of the named checks that a CREATE TABLE would make on this database."""
    dialect = context.migration_context.dialect
    columns = (it for column in model.columns for it in column.constraints)
    checks: dict[str, str] = {}
    for check in (*model.constraints, *columns):
        if isinstance(check, CheckConstraint) and isinstance(check.name, str):
            name = dialect.identifier_preparer.format_constraint(check)
            created = str(CreateTable(model).compile(dialect=dialect))
            if name and re.search(rf"CONSTRAINT {re.escape(name)} CHECK", created):
                key = name.strip('"`')
                checks[key] = context.migration_context.impl.render_ddl_sql_expr(check.sqltext)
    return checks


def _normalize(connection: Connection, found: Table, model: Table, checks: Texts) -> Texts | None:
    """Return the texts as the database writes them, or None if it doesn't take them."""
    columns = [Column(it.name, found.c.get(it.name, it).type) for it in model.columns]
    items = [CheckConstraint(_text(it), name=conv(key)) for key, it in checks.items()]
    table = Table(TABLE, MetaData(), *columns, *items, prefixes=["TEMPORARY"])
    savepoint = connection.begin_nested()
    try:
        connection.execute(CreateTable(table))
        return _read_checks(connection, TABLE, None)
    except SQLAlchemyError:
        return None
    finally:
        if connection.dialect.name in ("mysql", "mariadb"):  # others undo it
            connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {TABLE}")
        savepoint.rollback()
