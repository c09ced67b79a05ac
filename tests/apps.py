"""Small applications with the extension, in a folder of their own, on each kind of database."""

from __future__ import annotations

import io
import logging
import os
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import servers
from alembic.script import ScriptDirectory
from flask import Flask
from flask.cli import ScriptInfo
from flask_migrate import Config
from flask_safe_migrations import SafeMigrate
from flask_sqlalchemy import SQLAlchemy
from servers import KINDS
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, Text, make_url
from sqlalchemy.schema import SchemaItem

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
Models = Callable[[MetaData], object]

# For a test of one kind of database; without these, a test of `site` runs on each.
on_sqlite = pytest.mark.parametrize("kind", ["sqlite"])
on_postgresql = pytest.mark.parametrize("kind", ["postgresql"])
on_mysql = pytest.mark.parametrize("kind", ["mysql"])
on_servers = pytest.mark.parametrize("kind", ["postgresql", "mysql"])


def notes(metadata: MetaData, *items: SchemaItem, title: int = 200, body: bool = True) -> None:
    """Declare notes and tags, with these other columns and constraints of a note."""
    Table(
        "note",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("title", String(title), nullable=False),
        *([Column("body", Text, nullable=False)] if body else []),
        *items,
    )
    Table(
        "tag",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(50), nullable=False, unique=True),
    )
    Table(
        "note_tag",
        metadata,
        Column("note_id", ForeignKey("note.id", ondelete="CASCADE"), primary_key=True),
        Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True, index=True),
    )


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed and logged."""

    code: int
    text: str

    @property
    def line(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())


def invoke(app: Flask, *arguments: str, answer: str | None = None) -> Done:
    """Run `flask` with these arguments in this process. An error that is no message is raised."""

    def print_here(config: Any) -> Config:  # noqa: ANN401  # its types lack the attribute
        config.stdout = sys.stdout  # Alembic has kept the one of its import
        return config  # type: ignore[no-any-return]

    app.extensions["migrate"].migrate.configure(print_here)
    with logged() as log:
        obj = ScriptInfo(create_app=lambda: app, set_debug_flag=False)
        done = app.test_cli_runner().invoke(args=arguments, input=answer, obj=obj)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception  # its user would see a traceback
    return Done(done.exit_code, log.getvalue() + done.output)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect what is logged; whatever alembic.ini says of loggers is undone afterwards."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    names = ("alembic", "flask_migrate", "flask_safe_migrations", "sqlalchemy")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.handlers[:]) for logger in (logging.root, *loggers)]
    disabled = [name for name, it in logging.root.manager.loggerDict.items() if _is_disabled(it)]
    logging.root.setLevel(logging.INFO)
    for logger in loggers[:3]:  # fileConfig clears the handlers of the root alone
        logger.addHandler(handler)
    try:
        yield text
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
        for name, it in logging.root.manager.loggerDict.items():
            if _is_disabled(it) and name not in disabled:
                logging.getLogger(name).disabled = False


def _is_disabled(logger: logging.Logger | logging.PlaceHolder) -> bool:
    return isinstance(logger, logging.Logger) and logger.disabled


@dataclass
class Site:
    """A folder with an application and its migrations, and what its owner does there."""

    folder: Path
    url: str
    apps: list[Flask] = field(default_factory=list)
    reloads: bool = False  # the script, for each command: a stock env.py leaves its mark

    @property
    def kind(self) -> str:
        return make_url(self.url).get_backend_name()

    @property
    def app(self) -> Flask:
        return self.apps[-1]

    def new_app(
        self, models: Models = notes, *, options: dict[str, Any] | None = None, **settings: object
    ) -> Flask:
        """Make the application as it is after an edit of its models or settings."""
        app = Flask("shop", root_path=str(self.folder), instance_path=str(self.folder))
        app.config.from_mapping(
            {"SQLALCHEMY_DATABASE_URI": self.url, "SECRET_KEY": "test"} | settings
        )
        db = SQLAlchemy(app, metadata=MetaData(naming_convention=NAMING_CONVENTION))
        models(db.metadata)
        SafeMigrate(app, db, directory=self.folder / "migrations", **(options or {}))
        self.apps.append(app)
        return app

    def run(self, *arguments: str, answer: str | None = None) -> Done:
        """Run `flask db …`."""
        if self.reloads:
            self.load()
        return invoke(self.app, "db", *arguments, answer=answer)

    def flask(self, *arguments: str) -> str:
        """Run `flask db …`, which has to succeed."""
        done = self.run(*arguments)
        assert done.code == 0, f"{arguments}\n{done.text}"
        return done.text

    def fail(self, *arguments: str) -> str:
        """Run `flask db …`, which has to fail with a message; return it on one line."""
        done = self.run(*arguments)
        assert done.code == 1, f"{arguments}\n{done.text}"
        return done.line

    def revisions(self) -> list[Path]:
        """The files of all revisions, the first first."""
        directory = ScriptDirectory(str(self.folder / "migrations"))
        return [Path(script.path) for script in directory.walk_revisions()][::-1]

    def add_revision(self, name: str, upgrade: str, downgrade: str = "pass") -> str:
        """Write a revision by hand, and return its id."""
        head = ScriptDirectory(str(self.folder / "migrations")).get_current_head()
        number = f"{len(self.revisions()):012x}"
        functions = [
            f"def {function}() -> None:\n{textwrap.indent(textwrap.dedent(code).strip(), '    ')}\n"
            for function, code in (("upgrade", upgrade), ("downgrade", downgrade))
        ]
        path = self.folder / "migrations" / "versions" / f"2999_{number}_{name}.py"
        path.write_text(
            "import time\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n"
            f"revision = {number!r}\ndown_revision = {head!r}\nbranch_labels = None\n"
            "depends_on = None\n\n\n" + "\n\n".join(functions)
        )
        return number

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def tables(self) -> set[str]:
        return {*servers.snapshot(self.url)}

    def execute(self, *statements: str) -> None:
        servers.execute(self.url, *statements)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return servers.rows(self.url, query)

    def fill(self) -> None:
        """Add a note with a tag."""
        self.execute(
            "INSERT INTO note (id, title, body) VALUES (1, 'a', 'b')",
            "INSERT INTO tag (id, name) VALUES (1, 'a')",
            "INSERT INTO note_tag (note_id, tag_id) VALUES (1, 1)",
        )

    def script(self, text: str) -> Path:
        """Write an application for other processes: text with a function create_app()."""
        path = self.folder / "app.py"
        path.write_text(text)
        return path

    def load(self, **settings: str) -> Flask:
        """Make the application of the script in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ({"DATABASE_URL": self.url} | settings).items():
                patch.setenv(name, value)
            app: Flask = runpy.run_path(str(self.folder / "app.py"), run_name="app")["create_app"]()
        self.apps.append(app)
        return app

    @property
    def env(self) -> dict[str, str]:
        """The environment of other processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLASK")}
        return kept | {"DATABASE_URL": self.url, "PYTHONWARNINGS": "error"}

    def start(self, *command: str, **settings: str) -> subprocess.Popen[str]:
        """Start Python with these arguments, on the script; its output is read while it runs."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.env | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database of a test: each."""
    kind: str = request.param
    return kind


@pytest.fixture
def url(kind: str, new_uri: Callable[[str], str]) -> str:
    """An empty database."""
    return servers.driver_named(new_uri(kind))


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """A function that makes an empty folder for an application on this database."""
    made: list[Site] = []

    def make(url: str) -> Site:
        folder = tmp_path / f"site {len(made)}"
        folder.mkdir()
        (folder / "ruff.toml").touch()  # else its settings would be those of this repository
        made.append(Site(folder, url))
        return made[-1]

    yield make
    for app in (app for site in made for app in site.apps):
        with app.app_context():
            for engine in app.extensions["migrate"].db.engines.values():
                engine.dispose()


@pytest.fixture
def empty_site(new_site: Callable[[str], Site], url: str) -> Site:
    """An application whose migrations are not begun."""
    site = new_site(url)
    site.new_app()
    return site


@pytest.fixture
def site(empty_site: Site) -> Site:
    """An application with a first revision, which is applied."""
    for command in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
        empty_site.flask(*command)
    return empty_site
