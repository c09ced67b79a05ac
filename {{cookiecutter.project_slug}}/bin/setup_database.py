"""Migrate the database: `set_up.py` runs this with the project's Python.

It runs the `flask db` commands in one process, because most of their time goes into imports.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TextIO

from set_up import CREATE_DATABASE, DATABASE_IS_MISSING, ROOT, exit_with_parent, step


def main(create: bool) -> None:
    """Write the initial migration if there is none, and bring the database up to date.

    Raises:
        SystemExit: A step failed. The text, or the last line on stderr, says why.
    """
    exit_with_parent()
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8")  # as set_up.py reads it
    console, sys.stdout = sys.stdout, sys.stderr  # only the steps are for the user
    app, failure = None, ""
    try:
        with step("import the application", console):
            from flask import cli

            cli.load_dotenv()
            app = cli.ScriptInfo(os.environ["FLASK_APP"]).load_app()
    except (cli.NoAppException, ImportError) as error:
        failure = str(getattr(error, "message", error))
        # A driver that can't be imported is not needed for the initial migration.
        os.environ["DATABASE_URL"] = "sqlite://"
    write_initial_migration(console)
    if not app:
        sys.exit(failure)
    with app.app_context():
        ensure_database_exists(create, console)
    run_flask("db", "upgrade", console=console)
    run_flask("db", "check", console=console)
    with app.app_context():
        print_unknown_tables(console)


def write_initial_migration(console: TextIO) -> None:
    """Write the models as the first revision. That needs no database."""
    versions = ROOT / "migrations" / "versions"
    if not versions.is_dir():
        run_flask("db", "init", console=console)
    if any(versions.glob("*.py")):
        return
    # The same project, made again, has the same revision: it finds its database migrated.
    revision = hashlib.sha256(ROOT.name.encode()).hexdigest()[:12]
    message = ["-m", "initial migration"]
    run_flask("db", "migrate", *message, hidden=["--rev-id", revision], console=console)
    if not any(versions.glob("*.py")):
        sys.exit("flask db migrate wrote no revision. Does the application import its models?")


def ensure_database_exists(create: bool, console: TextIO) -> None:
    """Create the database if it is missing, on this machine or if asked to.

    Raises:
        SystemExit: It can't be used.
    """
    import flask_safe_migrations as migrations
    from flask import current_app
    from sqlalchemy import make_url

    engine = current_app.extensions["sqlalchemy"].engine
    url = make_url(current_app.config.get("MIGRATION_DATABASE_URL") or engine.url)
    if migrations.is_in_memory(url):
        sys.exit(
            "DATABASE_URL in .env is an SQLite database in memory, which starts empty in each"
            " process. Name a file, as in sqlite:///app.db."
        )
    place = migrations.describe_database(url)
    try:
        migrations.check_database(url)
    except migrations.DatabaseUnavailable as error:
        if not error.missing:
            sys.exit(f"{error} DATABASE_URL is set in .env.")
        if not (create or is_local(url.host or "")):
            print(f"There is no database {place}.", file=sys.stderr)
            sys.exit(DATABASE_IS_MISSING)
        try:
            with step(f"create the database {place}", console):
                migrations.create_database(url)
        except migrations.DatabaseUnavailable as refusal:
            sys.exit(str(refusal))


def is_local(host: str) -> bool:
    """Return whether a server is on this machine."""
    return host in ("", "localhost", "::1") or host.startswith("127.")


def print_unknown_tables(console: TextIO) -> None:
    """Print the tables that no revision has made: no later revision changes them."""
    from flask_safe_migrations import unknown_tables

    if tables := unknown_tables():
        print(f"    Tables that no migration made, unchanged: {', '.join(tables)}", file=console)


def run_flask(*arguments: str, console: TextIO, hidden: Sequence[str] = ()) -> None:
    """Run a `flask` command in this process, as a step.

    Args:
        hidden: More arguments, which are not printed.
    """
    from flask.cli import cli

    with step(shlex.join(["flask", *arguments]).replace("'", '"'), console):
        try:
            cli.main([*arguments, *hidden], prog_name="flask")
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    main(CREATE_DATABASE in sys.argv)
