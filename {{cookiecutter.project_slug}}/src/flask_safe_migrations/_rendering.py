"""Decides how types, defaults and expressions are written in a revision."""

from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.ddl.impl import DefaultImpl
from alembic.ddl.mysql import MariaDBImpl, MySQLImpl
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import DefaultClause, TypeDecorator
from sqlalchemy.sql.elements import ClauseElement, False_, TextClause, True_
from sqlalchemy.sql.functions import now

from . import _types

# Alembic would write them as the database at hand spells them.
PORTABLE_DEFAULTS: dict[type, str] = {
    now: "sa.func.now()",
    True_: "sa.true()",
    False_: "sa.false()",
}
NOW = {"now", "current_timestamp"}


class LiteralPercent(DefaultImpl):
    """Writes a `%` once.

    The driver takes two for one, but only where a statement is sent, not where it is written.
    """

    def render_ddl_sql_expr(self, expr: ClauseElement, *args: Any, **options: Any) -> str:  # noqa: ANN401
        text = super().render_ddl_sql_expr(expr, *args, **options)
        doubles = self.dialect.paramstyle in ("format", "pyformat")
        return text.replace("%%", "%") if doubles else text


# Alembic takes the last class of a dialect: https://alembic.sqlalchemy.org/en/latest/api/ddl.html
for impl in (PostgresqlImpl, MySQLImpl, MariaDBImpl):
    type(impl.__name__, (LiteralPercent, impl), {"__dialect__": impl.__dialect__})


def render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write types and defaults that mean the same on every database."""
    if kind == "type":
        if isinstance(item, TypeDecorator) and _types.is_plain(item):
            item = item.impl_instance  # the schema needs no code of the application
            if type(item).__module__ == "sqlalchemy.sql.sqltypes":
                return f"sa.{item!r}"
        module = type(item).__module__
        has_prefix = autogen_context.opts["user_module_prefix"] is not None  # then it is imported
        if not has_prefix and not module.startswith(("sqlalchemy.", "alembic.")):
            autogen_context.imports.add(f"import {module}")
    if kind == "server_default" and isinstance(item, DefaultClause):
        if isinstance(item.arg, TextClause) and item.arg.text.strip("()").lower() in NOW:
            return "sa.func.now()"  # how a database writes it, of a table that is dropped
        return PORTABLE_DEFAULTS.get(type(item.arg), False)
    return False
