"""`flask generate` writes what the owner would write, or says in one line why it can't."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import flask_generate
import pytest
from click.testing import Result
from conftest import PROJECT, Bake
from flask import Flask
from flask.cli import ScriptInfo
from flask_generate import generate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

pytestmark = pytest.mark.quick

FACTORY = '''"""The application factory."""

from flask import Flask

from . import api, pages
from .shelves.pages import blueprint as shelves_pages


def create_app() -> Flask:
    app = Flask(__name__)

    pages.init_app(app)
    app.register_blueprint(shelves_pages)

    api.Api(app)
    return app
'''
SEEDS = '''"""The rows that a new database starts with."""

from .database import db


def seed() -> None:
    """Add the rows that are missing."""
    db.session.commit()
'''
NAVIGATION = """<nav aria-label="Main">
  <a href="{{ url_for('home.home') }}">Home</a>
  <li><a href="{{ url_for('shelves.index') }}">Shelves</a></li>
  <a href="{{ url_for('accounts.index') }}">Account</a>
</nav>
<a href="{{ url_for('other.index') }}">Elsewhere</a>
"""


class Owner:
    """The owner of a small project, who types `flask generate …`."""

    def __init__(self, root: Path, package: str = "shop", **chosen: bool) -> None:
        self.root = root
        self.package = root / "src" / package
        self.app = Flask(package, root_path=str(self.package))
        self.app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        for name, is_chosen in ({"csrf": True, "api": True} | chosen).items():
            if is_chosen:
                self.app.extensions[name] = object()

        class Base(DeclarativeBase):
            pass

        db = SQLAlchemy(self.app, model_class=Base)

        class Shelf(db.Model):  # type: ignore[name-defined, misc]
            id: Mapped[int] = mapped_column(Integer, primary_key=True)
            name: Mapped[str]

        self.models = [Shelf]  # SQLAlchemy keeps no other reference

    def generate(self, *arguments: str) -> Result:
        obj = ScriptInfo(create_app=lambda: self.app, set_debug_flag=False)
        return self.app.test_cli_runner().invoke(generate, arguments, obj=obj)

    def succeed(self, *arguments: str) -> str:
        done = self.generate(*arguments)
        assert done.exit_code == 0, done.output
        return done.output

    def read(self, name: str) -> str:
        return (self.package / name).read_text(encoding="utf-8")

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a project with pages and an API."""
    package = tmp_path / "src" / "shop"
    (package / "templates").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (package / "__init__.py").write_text(FACTORY)
    (package / "seeds.py").write_text(SEEDS)
    (package / "templates" / "base.html").write_text(NAVIGATION)
    return tmp_path


@pytest.fixture
def owner(root: Path) -> Owner:
    return Owner(root)


@pytest.mark.parametrize(
    "name", ["book", "books", "Book", "Books", "BOOK"], ids=lambda name: f"as {name}"
)
def test_a_name_is_understood_in_any_form(owner: Owner, name: str) -> None:
    owner.succeed("model", name, "title:string")

    assert "class Book(db.Model)" in owner.read("books/models.py")


@pytest.mark.parametrize(
    ("name", "folder", "class_name"),
    [
        ("OrderItem", "order_items", "OrderItem"),
        ("order-items", "order_items", "OrderItem"),
        ("people", "people", "Person"),
        ("category", "categories", "Category"),
        ("campus", "campuses", "Campus"),
        ("bus", "buses", "Bus"),
        ("menus", "menus", "Menu"),
        ("analysis", "analyses", "Analysis"),
        ("address", "addresses", "Address"),
        ("news", "news", "News"),
        ("alias", "aliases", "Alias"),
    ],
)
def test_plurals_are_those_of_english(
    owner: Owner, name: str, folder: str, class_name: str
) -> None:
    owner.succeed("resource", name, "title:string")

    assert f"class {class_name}(db.Model)" in owner.read(f"{folder}/models.py")
    for path in (owner.package / folder).glob("*.py"):
        ast.parse(path.read_text())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("model shelf name:string", "There is a table 'shelf' already."),
        ("resource class name:string", "'class' is a word of Python"),
        ("resource True name:string", "'true' is a word of Python"),
        ("resource 2nd name:string", "'2nd' can't be used"),
        ("resource büch name:string", "'büch' can't be used"),
        (f"resource {'x' * 31} name:string", "is too long"),
        ("resource form name:string", "'form' is used by the code that is written"),
        ("resource session name:string", "'session' is used"),
        ("resource string name:string", "'String' is used"),
        ("resource seed name:string", "src/shop/seeds.py exists already"),
        ("resource book", "A resource needs a field"),
        ("resource book title", "'title' can't be read. Write NAME:TYPE"),
        ("resource book title:strin", "unknown type, 'strin'. Do you mean string? The types are"),
        ("resource book title:string:uniqe", "unknown modifier, 'uniqe'"),
        ("resource book title:string!", "can't be read after its type"),
        ("resource book title:string title:text", "The field 'title' is there twice."),
        ("resource book shelf:references shelf:string", "'shelf' is there twice"),
        ("resource book metadata:string", "The field 'metadata' is reserved."),
        ("resource book query:string", "'query' is reserved"),
        ("resource book id:integer", "'id' is reserved"),
        ("resource book version:integer", "'version' is reserved"),
        ("resource book data:json", "'data' is reserved"),
        ("resource book book:string", "'book' is reserved"),
        ("resource book class:string", "'class' is a word of Python"),
        ("resource book 1st:string", "'1st' can't be used"),
        ("resource book author:references", "no model with the table 'author'. There are: shelf."),
        ("resource book author:references:people", "no model with the table 'person'"),
        ("resource book parent:references:book", "the first book could refer to none"),
        ("resource book extra:json:unique", "type json can't have :unique"),
        ("resource book title:string(9)", "a field of type string takes no values"),
        ("resource book lent:boolean?", "a field of type boolean is never empty"),
        ("resource book cover:enum", "needs values that differ"),
        ("resource book cover:enum(a,a)", "needs values that differ"),
        ("resource book cover:enum(1,2)", "needs values that differ"),
        ("resource book cover:enum(a,b):default=c", "its default is no enum"),
        ("resource book pages:integer:default=many", "its default is no integer"),
        ("resource book pages:integer:default=9999999999", "its default is no integer"),
        ("resource book price:decimal:default=NaN", "its default is no decimal"),
        ("resource book due:date:default=soon", "its default is no date"),
        ("resource book code:uuid:default=1", "a field of type uuid can't have a default"),
        ("page shelf-life --dry-run extra", "unexpected extra argument"),
    ],
)
def test_what_cannot_be_written_is_explained_and_nothing_is_written(
    owner: Owner, arguments: str, reason: str
) -> None:
    before = owner.files()

    done = owner.generate(*arguments.split())

    assert done.exit_code in (1, 2)
    assert reason in done.output
    assert len(re.findall(r"^Error: .*$", done.output, re.MULTILINE)) == 1
    assert "Traceback" not in done.output
    assert owner.files() == before


def test_what_was_edited_is_printed(owner: Owner) -> None:
    printed = owner.succeed("resource", "book", "title:string", "shelf:references")

    for line in (
        "+ from .books.pages import blueprint as books_pages",
        "+ app.register_blueprint(books_pages)",
        '+ app.extensions["api"].register_blueprint(books_api)',
        """+ <li><a href="{{ url_for('books.index') }}">Books</a></li>""",
        'uv run flask db migrate -m "add book"',
    ):
        assert line in printed
    factory = owner.read("__init__.py")
    assert factory.index("(shelves_pages)") < factory.index("(books_pages)")
    assert factory.index("api.Api(app)") < factory.index("(books_api)") < factory.index("return")
    assert (
        ">Shelves</a></li>\n  <li><a href=\"{{ url_for('books.index') }}\">Books</a></li>"
        in owner.read("templates/base.html")
    )


def test_nothing_is_overwritten(owner: Owner) -> None:
    owner.succeed("resource", "book", "title:string")
    before = owner.files()

    done = owner.generate("resource", "Books", "name:string")

    assert done.exit_code == 1
    assert "exists already. Nothing is overwritten." in done.output
    assert owner.files() == before


def test_a_dry_run_prints_the_same_and_writes_nothing(owner: Owner) -> None:
    before = owner.files()

    planned = owner.succeed("resource", "book", "title:string", "--dry-run")

    assert owner.files() == before
    done = owner.succeed("resource", "book", "title:string")
    planned = planned.replace("Would write", "Wrote").replace("Would change", "Changed")
    assert sorted(planned.splitlines()) == sorted(done.splitlines())


def test_parts_can_be_left_out(owner: Owner) -> None:
    owner.succeed("resource", "book", "title:string", "--no-api")
    owner.succeed("resource", "film", "title:string", "--no-pages")
    owner.succeed("resource", "song", "title:string", "--no-pages", "--no-api")

    assert not (owner.package / "books" / "api.py").exists()
    assert not (owner.package / "films" / "pages.py").exists()
    assert not (owner.package / "films" / "templates").exists()
    assert "from .songs.models import Song as Song" in owner.read("__init__.py")
    assert (owner.package / "songs" / "queries.py").exists()


@pytest.mark.parametrize(
    ("chosen", "there", "missing"),
    [
        ({"csrf": False}, "api.py", "pages.py"),
        ({"api": False}, "pages.py", "api.py"),
    ],
)
def test_the_interface_is_that_of_the_project(
    root: Path, chosen: dict[str, bool], there: str, missing: str
) -> None:
    owner = Owner(root, "shop", **chosen)

    owner.succeed("resource", "book", "title:string")

    assert (owner.package / "books" / there).exists()
    assert not (owner.package / "books" / missing).exists()


def test_a_project_without_pages_gets_no_page(root: Path) -> None:
    done = Owner(root, csrf=False).generate("page", "about")

    assert done.exit_code == 1
    assert "This project has no pages" in done.output


def test_with_accounts_rows_belong_to_an_account(root: Path) -> None:
    owner = Owner(root, security=True)

    owner.succeed("resource", "book", "title:string")

    assert "Book.owner_id == g.account_id" in owner.read("books/queries.py")
    assert "accounts.require_login(app, books_pages)" in owner.read("__init__.py")
    assert "Book" not in owner.read("seeds.py")


def test_a_page_is_written(owner: Owner) -> None:
    printed = owner.succeed("page", "AboutUs")

    assert "src/shop/about_us/pages.py" in printed
    assert "app.register_blueprint(about_us_pages)" in owner.read("__init__.py")


def test_the_owners_templates_are_used(owner: Owner) -> None:
    folder = owner.root / "generate" / "model" / "src" / "_package_" / "_plural_"
    folder.mkdir(parents=True)
    (folder / "models.py.jinja").write_text('"""Mine: << labels >>."""\n')
    (folder / "admin.py.jinja").write_text('NAME = "<< Class >>"\n')

    owner.succeed("model", "book", "title:string")

    assert owner.read("books/models.py") == '"""Mine: books."""\n'
    assert owner.read("books/admin.py") == 'NAME = "Book"\n'
    (folder / "admin.py.jinja").write_text("<< nothing >>")
    assert "model/src/_package_/_plural_/admin.py.jinja" in owner.generate("model", "x").output


def test_what_cannot_be_edited_is_said(owner: Owner) -> None:
    (owner.package / "__init__.py").write_text("app = None\n")
    (owner.package / "templates" / "base.html").write_text("<main></main>\n")

    printed = owner.succeed("resource", "book", "title:string")

    by_hand = printed.partition("Add by hand:")[2]
    assert "app.register_blueprint(books_pages)" in by_hand
    assert "url_for('books.index')" in by_hand


def test_without_the_packages_of_development_it_says_what_to_run(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flask_generate, "NEEDED", ("jinja2", "no_such_package"))

    done = owner.generate("resource", "book", "title:string")

    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Error: flask generate needs no_such_package, for development only. Run: uv sync"
    ]


# Strings of the example that tell what it is.
NAMES = {"'Notes with tags'": "'Notes'", "'Text'": "'Body'", "Search titles and text": "Search"}


def tokens(path: Path) -> list[str]:
    """The words and signs of a file, without comments, docstrings and commas."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
                node
            ):
                node.body[0] = ast.Expr(ast.Constant(...))
        text = ast.unparse(tree)
    for name, neutral in NAMES.items():
        text = text.replace(name, neutral)
    return re.findall(r"\w+|[^\w\s,]", text.replace("<dt>Text", "<dt>Body"))


def find_missing(part: list[str], whole: list[str]) -> list[str]:
    """Return the first tokens of a part that do not follow in the whole, in this order."""
    rest = iter(whole)
    for number, token in enumerate(part):
        if token not in rest:
            return part[max(0, number - 10) : number + 5]
    return []


@pytest.mark.parametrize("accounts", ["no", "yes"])
def test_the_example_is_what_would_be_written_for_notes(
    bake: Bake, tmp_path: Path, accounts: str
) -> None:
    """With what is particular to the notes: their tags."""
    project = bake(accounts=accounts)
    example = tmp_path / "example"
    shutil.move(project / "src" / "my_app" / "notes", example)
    for path in (project / "tests").glob("*note*"):
        path.unlink()
    owner = Owner(project, "my_app", security=accounts == "yes")

    owner.succeed("resource", "note", "title:string", "body:text")

    written = owner.package / "notes"
    names = [path.relative_to(written) for path in written.rglob("*.*")]
    assert len(names) == 10
    assert {
        str(name): missing
        for name in names
        if (missing := find_missing(tokens(written / name), tokens(example / name)))
    } == {}


def test_the_generator_is_not_the_owners(bake: Bake) -> None:
    project = bake()

    assert (project / "src" / "flask_generate" / "templates").is_dir()
    stock = PROJECT / "src" / "flask_generate" / "_fields.py"
    assert (project / "src" / "flask_generate" / "_fields.py").read_text() == stock.read_text()
    settings = (project / "pyproject.toml").read_text()
    for key in ("omit", "extend-exclude"):
        assert re.search(rf'^{key} = \[.*"src/flask_generate', settings, re.MULTILINE)
