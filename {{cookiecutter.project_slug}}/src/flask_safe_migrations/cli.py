"""Adds commands to those of `flask db`. It imports no application: each `flask` command loads it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.util import CommandError
from flask import current_app
from flask.cli import NoAppException, ScriptInfo, with_appcontext
from flask_migrate.cli import db as base
from sqlalchemy.exc import DBAPIError

from . import _backfill, _lint, _prepare, _server
from ._state import get_state

REPORT_INTERVAL = 2  # seconds


class DatabaseGroup(click.Group):
    """Flask-Migrate's commands, which say in one line that the application can't be imported."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            ctx.ensure_object(ScriptInfo).load_app()
            return super().invoke(ctx)
        except SyntaxError as e:
            raise click.ClickException(f"{e.msg} ({e.filename}, line {e.lineno})") from e
        except NoAppException as error:
            if "Traceback" in (text := str(error)):
                raise click.ClickException(text.strip().splitlines()[-1]) from error
            raise


# The entry point. Flask-Migrate's own group has the same commands.
db = DatabaseGroup("db", base.commands, params=base.params, callback=base.callback, help=base.help)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Show what went wrong without a traceback."""
    try:
        yield
    except (_server.DatabaseUnavailable, CommandError, DBAPIError, OSError) as error:
        raise click.ClickException(str(error)) from error


@db.command()
@with_appcontext
@errors_in_one_line()
def prepare() -> None:
    """Create the database if it is missing, upgrade it, and seed it if it is new."""
    for line in _prepare.prepare():
        click.echo(line)


@db.command()
@with_appcontext
@errors_in_one_line()
def seed() -> None:
    """Add the rows that a new database starts with."""
    if not (function := get_state().seed):
        raise click.ClickException(
            "No seed function is set. Pass one that adds rows: SafeMigrate(app, db, seed=function)"
        )
    function()


@db.command()
@click.argument("revisions", nargs=-1)
@with_appcontext
@errors_in_one_line()
def lint(revisions: tuple[str, ...]) -> None:
    """Report dangerous statements in REVISIONS (default: all)."""
    violations = _lint.lint(revisions)
    for violation in violations:
        click.echo(violation, err=True)
    if violations:
        raise click.exceptions.Exit(1)
    click.echo("No danger was found.")


@db.command()
@click.argument("column")
@click.argument("expression")
@click.option("--where", help="SQL condition for the rows, in place of COLUMN IS NULL.")
@click.option("--batch-size", default=1000, type=click.IntRange(1), show_default=True)
@with_appcontext
@errors_in_one_line()
def backfill(column: str, expression: str, where: str | None, batch_size: int) -> None:
    """Set COLUMN, such as note.rank, to the SQL EXPRESSION, such as 0 or "'new'", in batches.

    By default, only rows where COLUMN is NULL change. To continue, run the command again.
    """
    done, started = 0, time.monotonic()
    reported = started
    for done, total in _backfill.backfill(column, expression, where, batch_size):
        if time.monotonic() - reported > REPORT_INTERVAL:
            reported = time.monotonic()
            left = max(total - done, 0) * (reported - started) / max(done, 1)
            click.echo(f"{done:,} of {total:,} rows are done, about {left:,.0f} s left")
    click.echo(f"Filled {column} in {done:,} rows.")


@db.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_appcontext
@errors_in_one_line()
def reset(yes: bool) -> None:
    """Delete all rows: undo and reapply all revisions, and seed (debug mode only)."""
    place = _server.describe_database(get_state().url)
    if not current_app.debug:
        raise click.ClickException(
            f"Nothing was deleted. A reset deletes all rows of this project in {place}, so it"
            " requires debug mode: flask --debug db reset"
        )
    if not yes:
        click.confirm(f"Delete all rows of this project in {place}?", abort=True)
    _prepare.reset()
    if function := get_state().seed:
        function()
