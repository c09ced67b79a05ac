"""Connects an application to safe migrations: `SafeMigrate`, and what it knows of the application."""

from __future__ import annotations

import ast
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flask_migrate
from flask import Flask, current_app
from flask_migrate import Config, Migrate
from sqlalchemy import URL, Engine, MetaData, make_url

PACKAGE = Path(__file__).parent
INIT_TEMPLATES = PACKAGE / "init"  # what `flask db init` copies
INIT_HOOKS = "imports, format"  # of ruff, where it is installed
ENVIRONMENT = PACKAGE / "environment"  # runs in place of a stock env.py
STOCK_ENV = Path(flask_migrate.__file__).parent / "templates" / "flask" / "env.py"
# What releases of Flask-Migrate have written, as `_normalize` has it; the first digits of its SHA-256.
STOCK_ENVS = {
    "e7797fd21d4e0f8e",  # 0.1 to 1.0
    "b9bf5e4cbbda1d07",  # 1.1 to 1.3
    "8765a382617d9924",  # 1.4 and 1.5.0
    "cdd6b512b239bff0",  # 1.5.1 to 2.3.0
    "4a3a2337b288b3d5",  # 2.3.1
    "044b7cc2c8e40589",  # 2.4
    "bfda35e53239b192",  # 2.5.0 to 2.5.2
    "0cb4f19e7f4d84a8",  # 2.5.3 and 2.6
    "2af257cd0e62b874",  # 2.7 and 3.0.0
    "0046547e7a08ed37",  # 3.0.1 and 3.1
    "d135567c24cdbc87",  # 4.0.0
    "af1f3b28b80f23fc",  # 4.0.1 and 4.0.2
    "c46551573238d4b6",  # 4.0.3
    "c1d204b763db2b3e",  # 4.0.4
    "003d3c7d49894776",  # 4.0.5 to 4.1
}
# Of projects that were made before the extension was a package of its own.
FORMER_ENV = re.compile(r"from \w+\.database\.migration import environment\s+environment\.run\(\)")
DEFAULTS = {
    "MIGRATION_DATABASE_URL": None,
    "MIGRATION_WAIT": 600,
    "MIGRATION_LOCK_TIMEOUT": 10,
    "MIGRATION_STATEMENT_TIMEOUT": 0,
}

log = logging.getLogger(__name__)  # Alembic silences its own until env.py has set up logging


@dataclass
class State:
    """What the extension knows of one application."""

    migrate: SafeMigrate
    seed: Callable[[], object] | None
    # The form of the page about pending migrations sends it back: no other site knows it.
    form_token: str = field(default_factory=secrets.token_urlsafe)
    # One thread that a database may hold up, while the health check answers.
    readiness: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))
    has_warned: bool = False  # of an env.py that does without the extension

    @property
    def directory(self) -> Path:
        """The folder of the migrations."""
        return Path(self.migrate.directory)

    @property
    def metadata(self) -> MetaData:
        """The tables of all models: `target_metadata` as Alembic calls it, or that of `db`."""
        db: Any = self.migrate.db
        metadata: MetaData | None = self.migrate.alembic_ctx_kwargs.get("target_metadata")
        if metadata is None:
            metadata = db.metadatas[None] if hasattr(db, "metadatas") else db.metadata
        return metadata

    @property
    def version_table(self) -> dict[str, Any]:
        """The options by which Alembic finds its table of revisions."""
        options = self.migrate.alembic_ctx_kwargs.items()
        return {name: value for name, value in options if name.startswith("version_table")}

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
        folder = Path(directory or self.directory)
        if "%" in str(folder):  # which Flask-Migrate does not escape
            directory = os.path.relpath(folder)
        config: Any = super().get_config(directory, x_arg, opts)
        config.file_config["DEFAULT"]["here"] = _escaped(folder)  # nor does Alembic
        hooks = config.get_section("post_write_hooks", {})
        if hooks.get("hooks") == INIT_HOOKS and not find_spec("ruff"):
            config.set_section_option("post_write_hooks", "hooks", "")
        if has_stock_environment(folder):
            if not config.get_main_option("version_locations"):
                config.set_main_option("path_separator", "newline")  # a path may have spaces
                config.set_main_option("version_locations", _escaped(folder / "versions"))
            config.set_main_option("script_location", _escaped(ENVIRONMENT))
            config.attributes["revision_template"] = str(folder / "script.py.mako")
        elif not get_state().has_warned and is_foreign_environment(folder):
            get_state().has_warned = True
            log.warning(
                "%s does without SafeMigrate: migrations run without its lock, limits and checks. To"
                " have them, let the file be these two lines:\n"
                "from flask_safe_migrations import run_environment\nrun_environment()",
                folder / "env.py",
            )
        return config  # type: ignore[no-any-return]


def has_stock_environment(directory: Path) -> bool:
    """Whether `env.py` is as Flask-Migrate, or a former release of ours, has written it."""
    text = _read_environment(directory)
    digest = _normalize(text)
    return (
        digest in STOCK_ENVS
        or digest == _normalize(STOCK_ENV.read_text(encoding="utf-8"))
        or bool(FORMER_ENV.search(text))
    )


def is_foreign_environment(directory: Path) -> bool:
    """Whether `env.py` is somebody's own, and does without the extension."""
    text = _read_environment(directory)
    return bool(text) and "run_environment" not in text


def _read_environment(directory: Path) -> str:
    """Return the text of `env.py`, which is empty before `flask db init`."""
    path = directory / "env.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _normalize(text: str) -> str:
    """Return a digest that formatters and sorters of imports do not change."""
    lines = [line.strip() for line in ast.unparse(ast.parse(text)).splitlines()]
    return sha256("\n".join(sorted(filter(None, lines))).encode()).hexdigest()[:16]


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
