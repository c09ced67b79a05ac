"""Operations of a revision that Alembic can't write."""

from typing import Any, Self

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops


class AllowOp(ops.MigrateOperation):
    """A comment in the revision by which `flask db lint` accepts an operation."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        self.reason = reason

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
    lines = [line for operation in op.operations for line in render_op(context, operation)]
    return [f"with {_prefix(context)}get_context().autocommit_block():", *lines, ""]


@renderers.dispatch_for(CastColumnOp)
def _render_cast(context: AutogenContext, op: CastColumnOp) -> str:
    dialect: Any = context.dialect
    new: Any = op.modify_type
    column = dialect.identifier_preparer.quote(op.column_name)
    text: str = renderers.dispatch(ops.AlterColumnOp)(context, op)
    using = f"{column}::{new.compile(dialect=dialect)}"
    return f"{text[:-1]}, postgresql_using={using!r})"


@renderers.dispatch_for(RenameTableOp)
def _render_rename_table(context: AutogenContext, op: RenameTableOp) -> str:
    schema = f", schema={op.schema!r}" if op.schema else ""
    return f"{_prefix(context)}rename_table({op.table_name!r}, {op.new_table_name!r}{schema})"


@renderers.dispatch_for(SqlOp)
def _render_sql(context: AutogenContext, op: SqlOp) -> list[str]:
    return [f"{_prefix(context)}execute({op.sqltext!r})"] if op.sqltext else []


def _prefix(context: AutogenContext) -> str:
    return str(context.opts["alembic_module_prefix"])
