"""Adds commands to those of `flask db`. It imports no application: each `flask` command loads it."""

from __future__ import annotations

import time

import click
from alembic.util import CommandError
from flask import current_app
from flask.cli import NoAppException, ScriptInfo, with_appcontext
from flask_migrate.cli import db as flask_db

REPORT_INTERVAL = 2  # seconds


class DatabaseGroup(click.Group):
    """Flask-Migrate's commands, which say in one line that the application can't be imported."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            ctx.ensure_object(ScriptInfo).load_app()
            return super().invoke(ctx)
        except (NoAppException, SyntaxError) as error:
            if "Traceback" in (text := str(error)) or isinstance(error, SyntaxError):
                raise click.ClickException(text.strip().splitlines()[-1]) from error
            raise


# The entry point. Flask-Migrate's own group has the same commands.
db = DatabaseGroup(
    "db", flask_db.commands, params=flask_db.params, callback=flask_db.callback, help=flask_db.help
)


@db.command()
@with_appcontext
def prepare() -> None:
    """Create the database if it is missing, upgrade it, and seed it if it is new."""
    from . import DatabaseUnavailable, _prepare

    try:
        for line in _prepare.prepare():
            click.echo(line)
    except (DatabaseUnavailable, CommandError) as error:
        raise click.ClickException(str(error)) from error


@db.command()
@with_appcontext
def seed() -> None:
    """Add the rows that a new database starts with."""
    _seed()


@db.command()
@click.argument("revisions", nargs=-1)
@with_appcontext
def lint(revisions: tuple[str, ...]) -> None:
    """Report what is dangerous in REVISIONS, or in all of them."""
    from . import _lint

    try:
        violations = _lint.lint(revisions)
    except (CommandError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for violation in violations:
        click.echo(violation, err=True)
    if violations:
        raise click.exceptions.Exit(1)
    click.echo("No danger was found.")


@db.command()
@click.argument("column")
@click.argument("expression")
@click.option("--where", help="The rows in SQL, in place of those where COLUMN is NULL.")
@click.option("--batch-size", default=1000, type=click.IntRange(1), show_default=True)
@with_appcontext
def backfill(column: str, expression: str, where: str | None, batch_size: int) -> None:
    """Set COLUMN, such as note.rank, to the SQL EXPRESSION in small batches.

    Only rows where it is NULL are changed. It can be stopped, and run again to continue.
    """
    from . import _backfill

    started = reported = time.monotonic()
    try:
        for done, total in _backfill.backfill(column, expression, where, batch_size):
            if time.monotonic() - reported > REPORT_INTERVAL:
                reported = time.monotonic()
                left = (reported - started) / max(done, 1) * max(total - done, 0)
                click.echo(f"{done:,} of {total:,} rows; about {left / 60:.1f} minutes left")
    except CommandError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Filled {column} in {done:,} rows.")


@db.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--drop", multiple=True, help="A table that no revision here makes.")
@with_appcontext
def reset(yes: bool, drop: tuple[str, ...]) -> None:
    """Undo all revisions, apply them again, and seed: in development only."""
    from sqlalchemy.exc import DBAPIError

    from . import DatabaseUnavailable, _reset, _server
    from ._state import get_state

    place = _server.describe_database(get_state().url)
    if not current_app.debug:
        raise click.ClickException(
            f"This deletes all rows of this project in {place}. It works in development only: set"
            " FLASK_DEBUG=1, or run: flask --debug db reset"
        )
    if not yes:
        click.confirm(f"Delete all rows of this project in {place}?", abort=True)
    try:
        _reset.reset(drop)
    except (DatabaseUnavailable, CommandError, DBAPIError) as error:
        raise click.ClickException(str(error)) from error
    _seed(required=False)


def _seed(*, required: bool = True) -> None:
    from ._state import get_state

    if function := get_state().seed:
        function()
    elif required:
        raise click.ClickException(
            "There is nothing to seed. Give a function that adds rows: SafeMigrate(app, db, seed=…)"
        )
