"""Our commands beside Flask-Migrate's own: `flask db --help` lists them all."""

from __future__ import annotations

import click
import flask_migrate
from alembic.util import CommandError
from flask import current_app
from flask.cli import with_appcontext
from flask_migrate.cli import db as flask_db

from .. import seeds
from . import prepare as preparation
from . import server
from .migration import environment
from .migration import lint as linting

db: click.Group = flask_db  # pyproject.toml names it as an entry point


@db.command()
@with_appcontext
def prepare() -> None:
    """Create the database if it is missing, upgrade it, and seed it if it is new."""
    try:
        for line in preparation.prepare():
            click.echo(line)
    except (server.Unavailable, CommandError) as problem:
        raise click.ClickException(str(problem)) from problem


@db.command()
@with_appcontext
def seed() -> None:
    """Add the rows of seeds.py."""
    seeds.seed()


@db.command()
@click.argument("revisions", nargs=-1)
@with_appcontext
def lint(revisions: tuple[str, ...]) -> None:
    """Name what would hurt in REVISIONS, or in all of them."""
    try:
        findings = linting.lint(revisions)
    except (CommandError, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
    for finding in findings:
        click.echo(finding, err=True)
    if findings:
        raise click.exceptions.Exit(1)
    click.echo("No danger was found.")


@db.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_appcontext
def reset(yes: bool) -> None:
    """Undo all revisions, do them again, and seed: in development only."""
    place = server.place(environment.database_url())
    if not current_app.debug:
        raise click.ClickException(
            f"This would delete all rows of this project in {place}. It works in development only,"
            " where FLASK_DEBUG=1 is set, as in the .env of the set-up."
        )
    if not yes:
        click.confirm(f"Delete all rows of this project in {place}?", abort=True)
    flask_migrate.downgrade(revision="base")
    flask_migrate.upgrade()
    seeds.seed()
