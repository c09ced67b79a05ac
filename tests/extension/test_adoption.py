"""A project of Flask-Migrate takes SafeMigrate by an import and a class name, and can leave it again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from apps import Site, logged, on_sqlite
from conftest import run
from flask_safe_migrations import current_revisions, pending_revisions, unknown_tables
from flask_safe_migrations._stock_environment import STOCK_ENV, has_stock_environment

# The stock env.py calls it.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")

# As the documentation of Flask-Migrate has it.
STOCK = """
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate()


class Author(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(50), nullable=False)


def create_app():
    app = Flask(__name__, root_path=os.getcwd(), instance_path=os.getcwd())
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config.from_prefixed_env("SHOP")
    db.init_app(app)
    migrate.init_app(app, db)
    return app
"""
BOOK = """

class Book(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    title = db.Column(db.String(50), nullable=False)
    author_id = db.Column(db.ForeignKey("author.id"), nullable=False)
"""
PRICE = "    price = db.Column(db.Integer)\n"
CHANGES = {
    "from flask_migrate import Migrate\n": "from flask_safe_migrations import SafeMigrate\n",
    "migrate = Migrate()\n": "migrate = SafeMigrate()\n",
}
OWN_TEMPLATE = "# The template of this project.\n"


def edit(site: Site, changes: dict[str, str]) -> None:
    """Edit the application's text."""
    for old, new in changes.items():
        site.edit(site.folder / "app.py", old, new)


def leave(site: Site) -> None:
    """Take SafeMigrate out again."""
    edit(site, {new: old for old, new in CHANGES.items()})


@pytest.fixture
def begun(new_site: Callable[[str], Site], url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A project of Flask-Migrate without migrations, in a folder whose name needs care."""
    site = new_site(url)
    site.folder = site.folder / "100% stock"
    site.folder.mkdir()
    monkeypatch.chdir(site.folder)
    site.script(STOCK)
    site.reloads = True
    return site


@pytest.fixture
def stock(begun: Site) -> Site:
    """A project with two revisions and rows, made with Flask-Migrate alone."""
    site = begun
    site.flask("init")
    site.edit(site.folder / "migrations" / "script.py.mako", '"""${', f'{OWN_TEMPLATE}"""${{')
    site.edit(
        site.folder / "migrations" / "alembic.ini",
        "# file_template = %%(rev)s_%%(slug)s",
        "file_template = own_%%(rev)s_%%(slug)s",
    )
    site.flask("migrate", "-m", "authors")
    site.flask("upgrade")
    edit(site, {"\n\ndef create_app": f"{BOOK}\n\ndef create_app"})
    site.flask("migrate", "-m", "books")
    site.flask("upgrade")
    site.execute(
        "INSERT INTO author (id, name) VALUES (1, 'Ann')",
        "INSERT INTO book (id, title, author_id) VALUES (1, 'One', 1)",
    )
    return site


def test_a_stock_project_takes_it_by_an_import_and_a_class_name(stock: Site) -> None:
    site = stock
    assert (site.folder / "migrations" / "env.py").read_bytes() == STOCK_ENV.read_bytes()
    files = {path: path.read_bytes() for path in site.folder.rglob("migrations/*.*")}

    edit(site, CHANGES)

    assert "(head)" in site.flask("current")
    assert "Running upgrade" not in site.flask("upgrade")
    site.flask("check")
    with site.load().app_context():
        assert pending_revisions() == unknown_tables() == []

    edit(site, {BOOK: BOOK + PRICE})
    assert site.run("check").code == 1
    site.flask("migrate", "-m", "price")
    made = site.revisions()[-1]
    assert made.name.startswith("own_")
    assert made.name.endswith("_price.py")
    assert made.read_text().startswith(OWN_TEMPLATE)
    with site.load().app_context():
        assert pending_revisions() == [made.name.split("_")[1]]
    site.flask("upgrade")
    site.flask("check")
    site.flask("lint", "heads")
    site.flask("downgrade")
    assert site.rows("SELECT * FROM book") == [(1, "One", 1)]
    site.flask("upgrade")
    site.flask("history", "--verbose")
    edit(site, {PRICE: ""})
    assert "The models no longer have the column book.price." in site.fail("migrate")
    assert {path: path.read_bytes() for path in site.folder.rglob("migrations/*.*")} == files


def test_taking_it_out_leaves_a_working_stock_project(stock: Site) -> None:
    site = stock
    edit(site, CHANGES)
    edit(site, {BOOK: BOOK + PRICE})
    site.flask("migrate", "-m", "price")
    site.flask("upgrade")

    leave(site)

    assert "(head)" in site.flask("current")
    assert type(site.app.extensions["migrate"].migrate).__name__ == "Migrate"
    site.flask("check")
    site.flask("downgrade", "base")
    site.flask("upgrade")
    site.flask("check")
    edit(site, {PRICE: PRICE + "    pages = db.Column(db.Integer)\n"})
    site.flask("migrate", "-m", "pages")
    assert site.revisions()[-1].read_text().startswith(OWN_TEMPLATE)
    site.flask("upgrade")
    site.flask("check")


def test_a_project_that_began_with_it_can_do_without(begun: Site) -> None:
    """Its steps: the import and the class name, and two files as Flask-Migrate has them."""
    site = begun
    edit(site, CHANGES)
    site.flask("init")
    site.flask("migrate", "-m", "authors")
    site.flask("upgrade")
    edit(site, {"\n\ndef create_app": f"{BOOK}\n\ndef create_app"})
    site.flask("migrate", "-m", "books")
    site.flask("upgrade")

    leave(site)
    # In a shell: cp "$(python -c 'import flask_migrate as m; print(m.__path__[0])')/templates/flask/env.py" migrations/
    for name in ("env.py", "alembic.ini"):
        source = STOCK_ENV.with_name(name.replace(".ini", ".ini.mako"))
        shutil.copyfile(source, site.folder / "migrations" / name)

    assert "(head)" in site.flask("current")
    site.flask("check")
    site.flask("downgrade", "base")
    site.flask("upgrade")
    edit(site, {BOOK: BOOK + PRICE})
    site.flask("migrate", "-m", "price")
    site.flask("upgrade")
    site.flask("check")
    site.flask("downgrade")
    # Nothing that was made imports the extension.
    texts = [path.read_text() for path in site.folder.rglob("*.[pmi][yan]*") if path.is_file()]
    assert not [text for text in texts if "flask_safe_migrations" in text]


def test_two_upgrades_of_an_adopted_project_at_once(stock: Site) -> None:
    site = stock
    edit(site, CHANGES)
    create = 'op.create_table("new", sa.Column("id", sa.Integer()))'
    site.add_revision(
        "slow", f"time.sleep(0.5)\n{create}\nop.execute('INSERT INTO new VALUES (1)')"
    )
    arguments = ["-m", "flask", "--app", "app", "db", "upgrade"]

    both = [site.start(*arguments) for _ in range(2)]

    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert site.rows("SELECT id FROM new") == [(1,)]


@on_sqlite
def test_options_of_the_constructor_reach_alembic(stock: Site) -> None:
    site = stock
    site.execute("ALTER TABLE alembic_version RENAME TO revisions_of_shop")
    version_table = 'version_table="revisions_of_shop"'
    edit(site, CHANGES | {"SafeMigrate()": f"SafeMigrate({version_table})"})

    site.flask("check")
    with site.load().app_context():
        assert len(current_revisions()) == 1
        assert pending_revisions() == unknown_tables() == []


# Flask-Migrate 2.0, as black would write it, with its imports sorted.
OLD_ENV = '''from __future__ import with_statement

import logging
from logging.config import fileConfig

from alembic import context
from flask import current_app
from sqlalchemy import engine_from_config, pool

# this is the Alembic Config object, which provides
# access to the values within the .ini file in use.
config = context.config

# Interpret the config file for Python logging.
# This line sets up loggers basically.
fileConfig(config.config_file_name)
logger = logging.getLogger("alembic.env")

# add your model's MetaData object here
# for 'autogenerate' support
config.set_main_option(
    "sqlalchemy.url", current_app.config.get("SQLALCHEMY_DATABASE_URI")
)
target_metadata = current_app.extensions["migrate"].db.metadata


def run_migrations_offline():
    """Run migrations in 'offline' mode.

    This configures the context with just a URL
    and not an Engine, though an Engine is acceptable
    here as well.  By skipping the Engine creation
    we don't even need a DBAPI to be available.

    Calls to context.execute() here emit the given string to the
    script output.
    """
    url = config.get_main_option("sqlalchemy.url")
    context.configure(url=url)

    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    """Run migrations in 'online' mode.

    In this scenario we need to create an Engine
    and associate a connection with the context.
    """

    # this callback is used to prevent an auto-migration from being generated
    # when there are no changes to the schema
    # reference: http://alembic.readthedocs.org/en/latest/cookbook.html
    def process_revision_directives(context, revision, directives):
        if getattr(config.cmd_opts, "autogenerate", False):
            script = directives[0]
            if script.upgrade_ops.is_empty():
                directives[:] = []
                logger.info("No changes in schema detected.")

    engine = engine_from_config(
        config.get_section(config.config_ini_section),
        prefix="sqlalchemy.",
        poolclass=pool.NullPool,
    )

    connection = engine.connect()
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        process_revision_directives=process_revision_directives,
        **current_app.extensions["migrate"].configure_args
    )

    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.close()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
'''


@pytest.mark.parametrize("text", [STOCK_ENV.read_text(), OLD_ENV], ids=["newest", "2.0"])
def test_a_stock_environment_is_recognized_formatted_or_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "env.py"
    assert not has_stock_environment(tmp_path)
    path.write_text(text)
    assert has_stock_environment(tmp_path)

    (tmp_path / "ruff.toml").write_text("line-length = 70\nformat.quote-style = 'single'")
    for command in ("format", "check --select I --fix"):
        done = run([sys.executable, "-m", "ruff", *command.split(), path], cwd=tmp_path, env={})
        assert done.returncode == 0, done.stdout
    assert path.read_text() != text
    assert has_stock_environment(tmp_path)

    path.write_text(text.replace("script.upgrade_ops.is_empty()", "False"))
    assert not has_stock_environment(tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "version", "2.1.1 2.3.1 2.4.0 2.5.2 2.6.0 2.7.0 3.1.0 4.0.0 4.0.2 4.0.3 4.0.4 4.1.0".split()
)
def test_the_environment_of_each_release_of_flask_migrate_is_recognized(
    tmp_path: Path, version: str
) -> None:
    package = f"flask-migrate=={version}"
    command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), package]
    subprocess.run(command, check=True)

    assert has_stock_environment(tmp_path / "flask_migrate" / "templates" / "flask")


@on_sqlite
def test_an_environment_of_the_owner_runs_as_it_is_with_a_warning(stock: Site) -> None:
    site = stock
    edit(site, CHANGES)
    own = "\nimport os\n\nos.environ['SEEN'] = 'yes'\n"
    path = site.folder / "migrations" / "env.py"
    path.write_text(path.read_text() + own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEN", "no")
        output = site.flask("upgrade")
        assert os.environ["SEEN"] == "yes"

    assert output.count("doesn't use SafeMigrate") == 1
    app = site.load()
    with logged() as log, app.app_context():
        for _ in range(2):  # as for a command that runs two of Alembic's
            app.extensions["migrate"].migrate.get_config()
    assert log.getvalue().count("doesn't use SafeMigrate") == 1
    assert "from flask_safe_migrations import run_environment\nrun_environment()" in output
    path.write_text("from flask_safe_migrations import run_environment\nrun_environment()\n" + own)
    assert "doesn't use SafeMigrate" not in site.flask("upgrade")
    site.flask("check")


def test_the_warning_is_seen_where_nothing_has_set_up_logging(tmp_path: Path) -> None:
    code = (
        "from flask import Flask\nfrom flask_safe_migrations import SafeMigrate\n"
        "from flask_sqlalchemy import SQLAlchemy\n\n"
        "app = Flask('shop', instance_path='/')\n"
        f"app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///{tmp_path}/shop.db'\n"
        "db = SQLAlchemy(app)\nSafeMigrate(app, db)\n"
    )
    (tmp_path / "shop.py").write_text(code)
    flask = [sys.executable, "-m", "flask", "--app", "shop", "db"]
    subprocess.run([*flask, "init"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "migrations" / "env.py").write_text("# empty: it runs nothing\n")

    done = subprocess.run([*flask, "current"], cwd=tmp_path, capture_output=True, text=True)

    assert "doesn't use SafeMigrate" in done.stderr
