"""Connects an application to safe migrations: `SafeMigrate`."""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask_migrate import Config, Migrate

from . import _pending_page, _revisions, cli  # noqa: F401  # cli adds commands to Flask-Migrate's
from ._state import State, get_state
from ._stock_environment import has_stock_environment, read_environment

PACKAGE = Path(__file__).parent
Seed = Callable[[], object]
FOREIGN_ENVIRONMENT = (
    "%s doesn't use SafeMigrate: migrations run without its lock, time limits and checks. To use"
    " it for one database, replace the file's content with:\n"
    "from flask_safe_migrations import run_environment\nrun_environment()"
)
DEFAULTS = {
    "MIGRATION_DATABASE_URL": None,
    "MIGRATION_WAIT": 600,
    "MIGRATION_LOCK_TIMEOUT": 10,
    "MIGRATION_STATEMENT_TIMEOUT": 0,
    "MIGRATION_BATCH_PAUSE": 0.1,
}

log = logging.getLogger(__name__)  # Alembic silences its own until env.py has set up logging


class SafeMigrate(Migrate):
    """Use in place of `flask_migrate.Migrate`, with the same arguments.

    https://flask-migrate.readthedocs.io/en/latest/#api-reference

    Args:
        seed: Adds the rows that a new database starts with; `flask db seed`, `prepare` and `reset`
            call it in the application's context.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: Any = None,  # noqa: ANN401  # anything with metadata and engine
        directory: str | Path = "migrations",
        command: str = "db",
        compare_type: bool = True,
        render_as_batch: bool = True,
        *,
        seed: Seed | None = None,
        **kwargs: Any,  # noqa: ANN401  # of Alembic's EnvironmentContext.configure
    ) -> None:
        self.seed = seed
        super().__init__(app, db, str(directory), command, compare_type, render_as_batch, **kwargs)
        self.configure(_use_own_templates)

    def init_app(self, app: Flask, *args: Any, seed: Seed | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        """Add the commands, the settings and, in debug mode, the page about pending migrations."""
        app.config.update({**DEFAULTS, **app.config})
        super().init_app(app, *args, **kwargs)
        app.extensions["safe_migrations"] = State(self, seed or self.seed)
        if app.debug:
            app.register_blueprint(_pending_page.blueprint)
            app.wsgi_app = _pending_page.DifferenceMiddleware(app)  # type: ignore[method-assign]

    def get_config(self, directory: str | None = None, *args: Any, **kwargs: Any) -> Config:  # noqa: ANN401
        """Return Alembic's configuration, which runs our environment where `env.py` is a stock one."""
        folder = Path(directory or self.directory)
        if "%" in str(folder):  # which Flask-Migrate does not escape
            directory = os.path.relpath(folder)
        config: Any = super().get_config(directory, *args, **kwargs)
        config.file_config["DEFAULT"]["here"] = _escaped(folder)  # nor does Alembic
        options = ("version_locations", "recursive_version_locations")
        if not any(map(config.get_main_option, options)):  # else there are more files than these
            _revisions.check_files(folder / "versions")
        hooks = config.get_section("post_write_hooks", {})
        if hooks.get("hooks") == "imports, format" and not find_spec("ruff"):
            config.set_section_option("post_write_hooks", "hooks", "")
        if has_stock_environment(folder):
            if not config.get_main_option("version_locations"):
                config.set_main_option("path_separator", "newline")  # a path may have spaces
                config.set_main_option("version_locations", _escaped(folder / "versions"))
            config.set_main_option("script_location", _escaped(PACKAGE / "environment"))
            config.attributes["revision_template"] = str(folder / "script.py.mako")
        elif not get_state().has_warned and "run_environment" not in read_environment(folder):
            get_state().has_warned = True
            log.warning(FOREIGN_ENVIRONMENT, folder / "env.py")
        return config  # type: ignore[no-any-return]


def _use_own_templates(config: Config) -> Config:
    """Have `flask db init` write an `env.py` that hands over to the extension."""
    command = click.get_current_context(silent=True)
    asked = command.params if command else {}
    is_multiple = asked.get("multidb") or asked.get("template") not in (None, "flask")
    if not is_multiple and not config.template_directory:
        config.template_directory = str(PACKAGE / "init")
    return config


def _escaped(path: Path) -> str:
    """Write a path as a value of an INI file."""
    return str(path.resolve()).replace("%", "%%")
