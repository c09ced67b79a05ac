"""Connects an application to safe migrations: `SafeMigrate`, and what it knows of the application."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask_migrate
from flask import Flask, current_app
from flask_migrate import Config, Migrate
from sqlalchemy import URL, Engine, MetaData, make_url

PACKAGE = Path(__file__).parent
INIT_TEMPLATES = PACKAGE / "init"  # what `flask db init` copies
ENVIRONMENT = PACKAGE / "environment"  # runs in place of a stock env.py
STOCK_ENV = Path(flask_migrate.__file__).parent / "templates" / "flask" / "env.py"
# Of projects that were made before the extension was a package of its own.
FORMER_ENV = re.compile(r"from \w+\.database\.migration import environment\s+environment\.run\(\)")
DEFAULTS = {
    "MIGRATION_DATABASE_URL": None,
    "MIGRATION_WAIT": 600,
    "MIGRATION_LOCK_TIMEOUT": 10,
    "MIGRATION_STATEMENT_TIMEOUT": 0,
}


@dataclass
class State:
    """What the extension knows of one application."""

    migrate: SafeMigrate
    seed: Callable[[], object] | None
    # The form of the page about pending migrations sends it back: no other site knows it.
    form_token: str = field(default_factory=secrets.token_urlsafe)
    # One thread that a database may hold up, while the health check answers.
    readiness: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))

    @property
    def directory(self) -> Path:
        """The folder of the migrations."""
        return Path(self.migrate.directory)

    @property
    def metadata(self) -> MetaData:
        """The tables of all models."""
        db: Any = self.migrate.db
        metadata: MetaData = db.metadatas[None] if hasattr(db, "metadatas") else db.metadata
        return metadata

    @property
    def engine(self) -> Engine:
        """The engine that the application uses, in its context."""
        db: Any = self.migrate.db
        engine: Engine = db.engine
        return engine

    @property
    def url(self) -> URL:
        """The address of the database that is migrated."""
        direct = current_app.config["MIGRATION_DATABASE_URL"]
        return make_url(direct) if direct else self.engine.url


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
        seed: Callable[[], object] | None = None,
        **kwargs: Any,  # noqa: ANN401  # of Alembic's EnvironmentContext.configure
    ) -> None:
        self.seed = seed
        super().__init__(app, db, str(directory), command, compare_type, render_as_batch, **kwargs)
        self.configure(_use_own_templates)

    def init_app(
        self,
        app: Flask,
        db: Any = None,  # noqa: ANN401
        directory: str | Path | None = None,
        command: str | None = None,
        compare_type: bool | None = None,
        render_as_batch: bool | None = None,
        *,
        seed: Callable[[], object] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Add the commands, the settings and, in debug mode, the page about pending migrations."""
        from . import _pending_page, cli  # noqa: F401  # cli adds its commands to those of Flask-Migrate

        for name, value in DEFAULTS.items():
            app.config.setdefault(name, value)
        folder = str(directory) if directory else None
        super().init_app(app, db, folder, command, compare_type, render_as_batch, **kwargs)
        app.extensions["safe_migrations"] = State(self, seed or self.seed)
        if app.debug:
            app.register_blueprint(_pending_page.blueprint)

    def get_config(
        self,
        directory: str | None = None,
        x_arg: str | Sequence[str] | None = None,
        opts: Iterable[str] | None = None,
    ) -> Config:
        """Return Alembic's configuration, which runs our environment where `env.py` is a stock one."""
        config: Any = super().get_config(directory, x_arg, opts)
        folder = Path(directory or self.directory)
        if has_stock_environment(folder):
            if not config.get_main_option("version_locations"):
                config.set_main_option("path_separator", "newline")  # a path may have spaces
                config.set_main_option("version_locations", _escaped(folder / "versions"))
            config.set_main_option("script_location", _escaped(ENVIRONMENT))
            config.attributes["revision_template"] = str(folder / "script.py.mako")
        return config  # type: ignore[no-any-return]


def has_stock_environment(directory: Path) -> bool:
    """Whether `env.py` is as Flask-Migrate, or a former release of ours, has written it."""
    try:
        text = (directory / "env.py").read_text(encoding="utf-8")
    except OSError:
        return False
    return text == STOCK_ENV.read_text(encoding="utf-8") or bool(FORMER_ENV.search(text))


def get_state() -> State:
    """Return the state of the current application.

    Raises:
        RuntimeError: `SafeMigrate` was not initialized with this application.
    """
    try:
        state: State = current_app.extensions["safe_migrations"]
    except KeyError:
        raise RuntimeError(
            "This application has no SafeMigrate. Call SafeMigrate(app, db), or"
            " migrate.init_app(app, db), where the application is created."
        ) from None
    return state


def _use_own_templates(config: Config) -> Config:
    """Have `flask db init` write an `env.py` that hands over to the extension."""
    if not config.template_directory:
        config.template_directory = str(INIT_TEMPLATES)
    return config


def _escaped(path: Path) -> str:
    """Write a path as a value of an INI file."""
    return str(path.resolve()).replace("%", "%%")
