"""Operations of a revision that Alembic can't write."""

from __future__ import annotations

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops


class AllowOp(ops.MigrateOperation):
    """A comment in the revision by which `flask db lint` accepts an operation."""

    def __init__(self, rule: str, reason: str) -> None:
        self.rule = rule
        self.reason = reason

    def reverse(self) -> AllowOp:
        return self


class AutocommitOp(ops.MigrateOperation):
    """Operations that PostgreSQL refuses in a transaction."""

    def __init__(self, *operations: ops.MigrateOperation) -> None:
        self.operations = operations


class RenameColumnOp(ops.AlterColumnOp):
    """A new name for a column, and other changes of it; the reverse is the old name."""

    def reverse(self) -> RenameColumnOp:
        reverse = super().reverse()
        reverse.column_name, reverse.modify_name = str(self.modify_name), self.column_name
        return reverse  # type: ignore[return-value]  # it is of the class of `self`


class RenameTableOp(ops.RenameTableOp):
    """A new name for a table; the reverse is the old name."""

    def reverse(self) -> RenameTableOp:
        return RenameTableOp(self.new_table_name, self.table_name, schema=self.schema)


class SqlOp(ops.ExecuteSQLOp):
    """A statement, and that which undoes it. Either may be empty."""

    def __init__(self, sql: str, undo: str = "") -> None:
        super().__init__(sql)
        self.undo = undo

    def reverse(self) -> SqlOp:
        return SqlOp(self.undo, str(self.sqltext))


@renderers.dispatch_for(AllowOp)
def _render_allow(context: AutogenContext, op: AllowOp) -> list[str]:
    return [f"# lint: allow {op.rule}: {op.reason}"]


@renderers.dispatch_for(AutocommitOp)
def _render_autocommit(context: AutogenContext, op: AutocommitOp) -> list[str]:
    lines = [line for operation in op.operations for line in render_op(context, operation)]
    return [
        f"with {context.opts['alembic_module_prefix']}get_context().autocommit_block():",
        *lines,
        "",
    ]


@renderers.dispatch_for(RenameTableOp)
def _render_rename_table(context: AutogenContext, op: RenameTableOp) -> str:
    schema = f", schema={op.schema!r}" if op.schema else ""
    return f"{context.opts['alembic_module_prefix']}rename_table({op.table_name!r}, {op.new_table_name!r}{schema})"


@renderers.dispatch_for(SqlOp)
def _render_sql(context: AutogenContext, op: SqlOp) -> list[str]:
    return [f"{context.opts['alembic_module_prefix']}execute({op.sqltext!r})"] if op.sqltext else []
