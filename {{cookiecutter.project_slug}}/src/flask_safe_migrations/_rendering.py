"""How a revision is written: operations that Alembic doesn't have, types, defaults and expressions."""

from typing import Any, Literal, Self

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.ddl.impl import DefaultImpl
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations import ops
from sqlalchemy import DefaultClause, Enum, TypeDecorator
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.sql.elements import ClauseElement, False_, TextClause, True_
from sqlalchemy.sql.functions import now

from . import _types

# Alembic would write them as the database at hand spells them.
PORTABLE: dict[type, str] = {now: "sa.func.now()", True_: "sa.true()", False_: "sa.false()"}
NOW = {"now", "current_timestamp"}


class AllowOp(ops.MigrateOperation):
    """A comment in the revision by which `flask db lint` accepts an operation."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule, self.reason = rule, reason

    def reverse(self) -> Self:
        return self


class AutocommitOp(ops.MigrateOperation):
    """Operations that PostgreSQL refuses in a transaction."""

    def __init__(self, *operations: ops.MigrateOperation) -> None:
        self.operations = operations


class RenameColumnOp(ops.AlterColumnOp):
    """A new name for a column, and other changes of it; the reverse is the old name."""

    def reverse(self) -> "RenameColumnOp":
        reverse = super().reverse()
        if self.modify_name:
            reverse.column_name, reverse.modify_name = self.modify_name, self.column_name
        return reverse  # type: ignore[return-value]  # it is of the class of `self`


class CastColumnOp(RenameColumnOp):
    """A change of type that PostgreSQL makes only with an explicit cast."""


class RenameTableOp(ops.RenameTableOp):
    """A new name for a table; the reverse is the old name."""

    def reverse(self) -> "RenameTableOp":
        return RenameTableOp(self.new_table_name, self.table_name, schema=self.schema)


class SqlOp(ops.ExecuteSQLOp):
    """A statement, and that which undoes it. Either may be empty."""

    def __init__(self, sql: str, undo: str = "") -> None:
        super().__init__(sql)
        self.undo = undo

    def reverse(self) -> "SqlOp":
        return SqlOp(self.undo, str(self.sqltext))


@renderers.dispatch_for(AllowOp)
def _render_allow(context: AutogenContext, op: AllowOp) -> list[str]:
    return [f"# lint: allow {op.rule}: {op.reason}"]


@renderers.dispatch_for(AutocommitOp)
def _render_autocommit(context: AutogenContext, op: AutocommitOp) -> list[str]:
    block = f"with {context.opts['alembic_module_prefix']}get_context().autocommit_block():"
    return [block, *(line for inner in op.operations for line in render_op(context, inner)), ""]


@renderers.dispatch_for(CastColumnOp)
def _render_cast(context: AutogenContext, op: CastColumnOp) -> str:
    dialect: Any = context.dialect
    new: Any = op.modify_type
    old = getattr(op.existing_type, "item_type", op.existing_type)  # of an array
    column = dialect.identifier_preparer.quote(op.column_name) + "::text" * isinstance(old, Enum)
    using = f"{column}::{new.compile(dialect=dialect)}"
    rendered: str = renderers.dispatch(ops.AlterColumnOp)(context, op)
    return f"{rendered[:-1]}, postgresql_using={using!r})"


@renderers.dispatch_for(RenameTableOp)
def _render_rename_table(context: AutogenContext, op: RenameTableOp) -> str:
    schema = f", schema={op.schema!r}" if op.schema else ""
    names = f"{op.table_name!r}, {op.new_table_name!r}{schema}"
    return f"{context.opts['alembic_module_prefix']}rename_table({names})"


@renderers.dispatch_for(SqlOp)
def _render_sql(context: AutogenContext, op: SqlOp) -> list[str]:
    return [f"{context.opts['alembic_module_prefix']}execute({op.sqltext!r})"] if op.sqltext else []


class LiteralPercent(DefaultImpl):
    """Writes a `%` once. The driver takes two for one, but only in a statement that is sent."""

    def render_ddl_sql_expr(self, expr: ClauseElement, *args: Any, **options: Any) -> str:  # noqa: ANN401
        text = super().render_ddl_sql_expr(expr, *args, **options)
        doubles = self.dialect.paramstyle in ("format", "pyformat")
        return text.replace("%%", "%") if doubles else text


class PostgreSQL(LiteralPercent, PostgresqlImpl):
    __dialect__ = "postgresql"  # Alembic takes its last class


def render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write types and defaults that mean the same on every database."""
    if kind == "type":
        if is_plain := isinstance(item, TypeDecorator) and _types.is_plain(item):
            item = item.impl_instance  # the schema needs no code of the application
        made = autogen_context.opts.get("made_enums", ())
        if isinstance(item, Enum) and (item.schema, item.name) in made:
            autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
            enum = ENUM(*item.enums, name=item.name, schema=item.schema, create_type=False)
            return f"postgresql.{enum!r}"
        if is_plain and type(item).__module__ == "sqlalchemy.sql.sqltypes":
            return f"sa.{item!r}"
        module = type(item).__module__
        has_prefix = autogen_context.opts["user_module_prefix"] is not None  # then it is imported
        if not has_prefix and not module.startswith(("sqlalchemy.", "alembic.")):
            autogen_context.imports.add(f"import {module}")
    if kind == "server_default" and isinstance(item, DefaultClause):
        if isinstance(item.arg, TextClause) and item.arg.text.strip("()").lower() in NOW:
            return "sa.func.now()"  # how a database writes it, of a table that is dropped
        return PORTABLE.get(type(item.arg), False)
    return False
