"""Our commands beside Flask-Migrate's own: `flask db --help` lists them all."""

from __future__ import annotations

import click
import flask_migrate
from flask.cli import with_appcontext
from flask_migrate.cli import db as flask_db

from . import server
from .environment import database_url

db: click.Group = flask_db  # pyproject.toml names it as an entry point


@db.command()
@with_appcontext
def prepare() -> None:
    """Create the database if it is missing, then upgrade it."""
    url = database_url()
    try:
        try:
            server.check(url)
        except server.Unavailable as problem:
            if not problem.missing:
                raise
            server.create_database(url)
            click.echo(f"Created the database {server.place(url)}.")
    except server.Unavailable as problem:
        raise click.ClickException(str(problem)) from problem
    flask_migrate.upgrade()
