"""What `flask generate` has written passes all checks of the project, and works."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import servers
from conftest import CHOICES, Project, User, check

# One field of each type, as it is written on the command line.
FIELDS = (
    *(
        "title:string",
        "author:string?",
        "blurb:text",
        "mail:email",
        "link:url?",
        "isbn:string:unique",
    ),
    *("pages:integer?", "copies:integer:default=1", "sold:bigint", "price:decimal", "weight:float"),
    *("lent:boolean", "published:date", "seen:datetime", "opens:time", "code:uuid", "extra:json"),
    *("scan:binary", "cover:enum(hard,soft)", "state:enum:open,closed:default=open"),
    *("shelf:references", "store_id:references?:shelf", "shelves:many", "parent:references?:book"),
    *("due:date?", "until:datetime?", "closes:time?", "token:uuid?", "more:json?", "proof:binary?"),
    *("type:string", "key:string", "date:date:default=2030-01-02", "lang:string:default=en"),
)

# Each choice on one database, and on the others weekly.
COMBINATIONS = [
    pytest.param(kind, *choice, marks=[pytest.mark.weekly] if (i + j) % 3 else [])
    for i, choice in enumerate(CHOICES)
    for j, kind in enumerate(servers.KINDS)
]


def add_resources(project: Project, *fields: str) -> None:
    for name, given in (("Shelves", ["name:string:unique"]), ("book", fields)):
        project.flask("generate", "resource", name, *given)
        project.flask("db", "migrate", "-m", f"add {name}")
        project.flask("db", "upgrade")


def test_a_resource_passes_the_checks_and_its_tests(fresh_project: Project) -> None:
    project = fresh_project

    printed = project.flask("generate", "resource", "book", "title:string", "pages:integer?")
    assert 'uv run flask db migrate -m "add book"' in printed
    project.flask("db", "migrate", "-m", "add book")
    project.flask("db", "upgrade")

    project.succeed("uv", "run", "ruff", "check")
    project.succeed("uv", "run", "ruff", "format", "--check")
    tests = [str(path) for path in sorted((project.path / "tests").glob("test_book*.py"))]
    assert len(tests) == 3
    project.succeed("uv", "run", "pytest", "-q", *tests)
    with project.serve() as get:
        assert "There are no books yet." in get("/books")[1]


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "interface", "accounts"), COMBINATIONS)
def test_resources_of_all_types_pass_all_checks(
    user: User, new_uri: Callable[[str], str], kind: str, interface: str, accounts: str
) -> None:
    project = user.project(
        f"database_uri={new_uri(kind)}", f"interface={interface}", f"accounts={accounts}"
    )

    add_resources(project, *FIELDS)

    check(project)


@pytest.mark.thorough
def test_a_model_and_a_page_pass_all_checks(fresh_project: Project) -> None:
    project = fresh_project
    project.flask("generate", "model", "shelf", "name:string", "next:references?:shelf")
    project.flask("generate", "page", "about")
    project.flask("db", "migrate", "-m", "add shelf")
    project.flask("db", "upgrade")

    check(project)


MODEL = '''"""Books."""

from sqlalchemy.orm import Mapped, mapped_column

from .database import db


class Book(db.Model):
    """A book."""

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
'''


@pytest.mark.thorough
def test_a_model_by_hand_needs_no_exemption(fresh_project: Project) -> None:
    project = fresh_project
    path = project.path / "src" / "my_app" / "books.py"
    path.write_text(MODEL)
    unimported = project.flask("db", "migrate", "-m", "add book")
    assert "Models in src/my_app/books.py are ignored" in unimported
    assert len(project.revisions()) == 1

    project.replace(
        "src/my_app/__init__.py",
        "from .config import",
        "from .books import Book as Book\nfrom .config import",
    )
    project.flask("db", "migrate", "-m", "add book")
    project.flask("db", "upgrade")

    check(project)
    assert not re.search("noqa|type: ignore", path.read_text())


def test_git_undoes_it(fresh_project: Project) -> None:
    project = fresh_project
    project.succeed("git", "init", "--quiet")
    project.succeed("git", "add", "--all")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    project.succeed("git", *identity, "commit", "--quiet", "--allow-empty", "-m", "Before")
    project.flask("generate", "resource", "book", "title:string")

    project.succeed("git", "checkout", "--quiet", ".")
    project.succeed("git", "clean", "-d", "--force", "--quiet", "src", "tests")

    assert project.succeed("git", "status", "--porcelain") == ""
    assert not Path(project.path / "src" / "my_app" / "books").exists()


DELETION = """
from flask import Flask
from flask.testing import FlaskClient
from forms import submit
from wine_factories import make_wine


def test_an_account_is_deleted_with_rows_that_refer_to_each_other(
    app: Flask, client: FlaskClient
) -> None:
    make_wine(app)

    assert "Your account was deleted." in submit(client, "/accounts/delete").text
"""


@pytest.mark.thorough
@pytest.mark.parametrize("kind", servers.KINDS)
def test_an_account_is_deleted_with_rows_that_refer_to_each_other(
    user: User, new_uri: Callable[[str], str], kind: str
) -> None:
    """In the order of names, MySQL would begin with the row that is referred to."""
    project = user.project(f"database_uri={new_uri(kind)}", "accounts=yes")
    project.flask("generate", "resource", "cellar", "name:string")
    project.flask("db", "migrate", "-m", "add cellar")
    project.flask("db", "upgrade")
    project.flask("generate", "resource", "wine", "name:string", "cellar:references")
    project.flask("db", "migrate", "-m", "add wine")
    project.flask("db", "upgrade")
    (project.path / "tests" / "test_deletion.py").write_text(DELETION)

    project.succeed("uv", "run", "pytest", "-q", "tests/test_deletion.py")
