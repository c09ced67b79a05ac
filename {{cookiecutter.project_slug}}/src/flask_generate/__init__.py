"""Adds `flask generate`, which writes code, and `flask db diagram`. It imports no application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click
from flask.cli import NoAppException, ScriptInfo, with_appcontext
from flask_safe_migrations.cli import db

NEEDED = ("jinja2", "pluralizer", "ruff")  # most are of the group "dev"


class GeneratorError(click.ClickException):
    """A request that can't be met. Nothing is written."""


class Generator(click.Group):
    """The commands, which say in one line that the application can't be imported."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            ctx.ensure_object(ScriptInfo).load_app()
        except (NoAppException, SyntaxError) as error:
            raise GeneratorError(str(error).strip().splitlines()[-1]) from error
        return super().invoke(ctx)


@click.group(cls=Generator)
def generate() -> None:
    """Write code into this project: a resource, a model or a page.

    A field is NAME:TYPE, with ? after the type where it may be empty, and with modifiers:
    :unique, :index, :default=VALUE. The types are string, text, integer, bigint, decimal, float,
    boolean, date, datetime, time, uuid, json, email, url, binary, enum(VALUE,VALUE),
    references[:TABLE] and many[:TABLE]. Put a field with ? or ( between quotes.
    """


def options(*names: str) -> Callable[[Any], Any]:
    """Return a decorator that adds the options with these names to a command."""
    helps = {
        "--dry-run": "Print what would be written and changed, and write nothing.",
        "--no-api": "Leave the API out.",
        "--no-pages": "Leave the pages out.",
    }

    def add(command: Any) -> Any:  # noqa: ANN401  # a function, or one with options
        for name in names:
            command = click.option(name, is_flag=True, help=helps[name])(command)
        return with_appcontext(command)

    return add


@generate.command()
@click.argument("name")
@click.argument("fields", nargs=-1)
@options("--no-pages", "--no-api", "--dry-run")
def resource(
    name: str, fields: tuple[str, ...], no_pages: bool, no_api: bool, dry_run: bool
) -> None:
    """Write a model with its pages, its API and their tests.

    \b
    flask generate resource book title:string "pages:integer?" isbn:string:unique
    flask generate resource loan book:references "state:enum(open,closed)"
    """
    parts = {"pages": not no_pages, "api": not no_api}
    write("resource", name, fields, dry_run=dry_run, **parts)


@generate.command()
@click.argument("name")
@click.argument("fields", nargs=-1)
@options("--dry-run")
def model(name: str, fields: tuple[str, ...], dry_run: bool) -> None:
    """Write a model and its test."""
    write("model", name, fields, dry_run=dry_run)


@generate.command()
@click.argument("name")
@options("--dry-run")
def page(name: str, dry_run: bool) -> None:
    """Write a page and its test."""
    write("page", name, (), dry_run=dry_run)


@db.command()
@click.option("--check", is_flag=True, help="Write nothing. Fail if the file is out of date.")
@with_appcontext
def diagram(check: bool) -> None:
    """Draw the tables of the models in docs/schema.md, as a Mermaid diagram."""
    require_packages("flask db diagram", "eralchemy")
    from . import _diagram

    click.echo(_diagram.write(check=check))


def write(kind: str, name: str, fields: tuple[str, ...], *, dry_run: bool, **parts: bool) -> None:
    require_packages("flask generate", *NEEDED)
    from . import _generate

    for line in _generate.generate(kind, name, fields, dry_run=dry_run, **parts):
        click.echo(line)


def require_packages(command: str, *names: str) -> None:
    if missing := [name for name in names if not find_spec(name)]:
        raise GeneratorError(
            f"{command} needs {' and '.join(missing)}, for development only. Run: uv sync"
        )
