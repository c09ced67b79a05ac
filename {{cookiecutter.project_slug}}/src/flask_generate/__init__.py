"""Writes models, pages and APIs into the project: `flask generate`. It imports no application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click
from flask.cli import NoAppException, ScriptInfo, with_appcontext

NEEDED = ("inflect", "jinja2", "ruff")  # of the group "dev"


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


def write(kind: str, name: str, fields: tuple[str, ...], *, dry_run: bool, **parts: bool) -> None:
    missing = [package for package in NEEDED if not find_spec(package)]
    if missing:
        raise GeneratorError(
            f"flask generate needs {' and '.join(missing)}, for development only. Run: uv sync"
        )
    from . import _generate

    for line in _generate.generate(kind, name, fields, dry_run=dry_run, **parts):
        click.echo(line)
