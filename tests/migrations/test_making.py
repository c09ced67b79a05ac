"""What `flask db migrate` writes, and what it refuses to write, on each database."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from conftest import BODY, MODELS, Project
from servers import KINDS, engine_of
from sqlalchemy import inspect, text

Make = Callable[[str], tuple[Project, str]]


def migrate(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run("uv", "run", "flask", "db", "migrate", "-m", "change", *arguments)


def refused(done: subprocess.CompletedProcess[str], project: Project) -> str:
    """What was said, given that nothing was written."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert len(project.revisions()) == 1
    return " ".join(done.stdout.split())


def live(project: Project) -> None:
    """The whole life of the revisions that were made."""
    for command in (["upgrade"], ["check"], ["downgrade", "base"], ["upgrade"], ["check"]):
        project.flask("db", *command)
    for check in (
        "ruff format --check migrations",
        "ruff check migrations",
        "pytest tests/test_migrations.py",
    ):
        project.succeed("uv", "run", *check.split())


def fill(uri: str) -> None:
    with engine_of(uri).begin() as connection:
        connection.execute(text("INSERT INTO note (id, title, body) VALUES (1, 'a', 'b')"))
        connection.execute(text("INSERT INTO tag (id, name) VALUES (1, 'a')"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_not_null_column_needs_a_server_default(kind: str, on: Make) -> None:
    project, uri = on(kind)
    fill(uri)
    project.replace(MODELS, BODY, BODY + "    price: Mapped[int]\n")

    said = refused(migrate(project), project)

    reason = {
        "sqlite": "SQLite refuses",
        "postgresql": "PostgreSQL refuses",
        "mysql": "MySQL fills",
    }
    assert "The new column note.price is NOT NULL and has no server default." in said
    assert reason[kind] in said
    assert 'mapped_column(server_default="0")' in said

    default = 'mapped_column(server_default="0")'
    project.replace(MODELS, "    price: Mapped[int]\n", f"    price: Mapped[int] = {default}\n")
    assert migrate(project).returncode == 0
    live(project)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_or_table_is_dropped_only_if_asked_for(kind: str, on: Make) -> None:
    project, uri = on(kind)
    project.replace(MODELS, BODY, "")
    tags = project.path / MODELS
    source = tags.read_text()
    without = re.sub(r"note_tag = Table\(.*?\n\)\n", "", source, flags=re.DOTALL)
    without = re.sub(r"    tags: Mapped.*?\n    \)\n", "", without, flags=re.DOTALL)
    without = re.sub(r"    notes: Mapped.*\n", "", without)
    tags.write_text(without)
    project.replace("src/my_app/notes/queries.py", "Tag, note_tag\n", "Tag\n")
    (project.path / "tests" / "test_notes.py").unlink()

    said = refused(migrate(project), project)
    assert "The models no longer have the column note.body." in said
    assert "The models no longer have the table note_tag." in said
    assert "-x drop=note_tag" in said
    refused(migrate(project, "-x", "drop=note_tag"), project)

    assert migrate(project, "-x", "drop=note_tag", "-x", "drop=note.body").returncode == 0
    downgrade = project.revisions()[-1].read_text().partition("def downgrade")[2]
    assert not re.search(r"DATETIME|TIMESTAMP|mysql\.|postgresql\.", downgrade)
    project.flask("db", "upgrade")
    assert "note_tag" not in inspect(engine_of(uri)).get_table_names()


def leave_out_notes(project: Project) -> None:
    """Have the application without the pages and the API of the notes, and without their tests."""
    path = project.path / "src/my_app/__init__.py"
    kept = [line for line in path.read_text().splitlines(keepends=True) if "notes" not in line]
    path.write_text("".join(kept))
    for name in ("factories.py", "test_notes.py", "test_note_pages.py", "test_api.py"):
        (project.path / "tests" / name).unlink()


def test_dropped_tables_go_before_those_they_refer_to(on: Make) -> None:
    project, _ = on("postgresql")
    (project.path / MODELS).write_text(
        '"""Other tables."""\n\nfrom sqlalchemy.orm import Mapped, mapped_column\n\n'
        "from ..database import Base\n\n\n"
        'class Other(Base):\n    __tablename__ = "other"\n\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
    )
    leave_out_notes(project)
    (project.path / "src/my_app/seeds.py").write_text(
        "from .notes import models as models\n\n\ndef seed() -> None: ...\n"
    )
    project.replace("src/my_app/__init__.py", "    return app", "    assert seeds\n    return app")
    project.replace("src/my_app/__init__.py", "pending, security", "pending, security, seeds")
    drops = [part for name in ("note", "tag", "note_tag") for part in ("-x", f"drop={name}")]

    assert migrate(project, *drops).returncode == 0
    live(project)


def test_without_models_nothing_is_written(on: Make) -> None:
    project, _ = on("sqlite")
    leave_out_notes(project)
    (project.path / "src/my_app/seeds.py").write_text("def seed() -> None: ...\n")

    assert "The application has no models" in refused(migrate(project), project)


def test_on_postgresql_indexes_and_constraints_come_apart(on: Make) -> None:
    project, uri = on("postgresql")
    fill(uri)
    project.replace(
        MODELS, "mapped_column(String(200))", "mapped_column(String(200), index=True, unique=False)"
    )
    project.replace(
        MODELS,
        BODY,
        BODY
        + "    code: Mapped[int | None] = mapped_column(unique=True)\n"
        + '    main_tag_id: Mapped[int | None] = mapped_column(ForeignKey("tag.id"))\n',
    )

    assert migrate(project).returncode == 0

    first, *others = [
        path.read_text().partition("def upgrade")[2] for path in project.revisions()[1:]
    ]
    assert "postgresql_not_valid=True" in first
    assert "create_index" not in first
    assert "create_unique_constraint" not in first
    texts = "\n".join(others)
    assert len(others) == 4  # two indexes, a constraint on one of them, a validation
    assert texts.count("autocommit_block()") >= 4
    assert "VALIDATE CONSTRAINT" in texts
    assert "UNIQUE USING INDEX" in texts
    live(project)


def test_on_postgresql_an_index_alone_is_one_revision(on: Make) -> None:
    project, _ = on("postgresql")
    project.replace(MODELS, "mapped_column(String(200))", "mapped_column(String(200), index=True)")

    assert migrate(project).returncode == 0

    assert len(project.revisions()) == 2
    assert "postgresql_concurrently=True" in project.revisions()[1].read_text()
    live(project)


@pytest.mark.parametrize("kind", KINDS)
def test_enums_and_types_of_ones_own_are_portable(kind: str, on: Make) -> None:
    project, _ = on(kind)
    (project.path / "src/my_app/money.py").write_text(
        '"""Amounts of money."""\n\nfrom sqlalchemy import Integer\nfrom sqlalchemy.types import TypeDecorator\n\n\n'
        "class Cents(TypeDecorator[int]):\n    impl = Integer\n    cache_ok = True\n"
    )
    project.replace(
        MODELS,
        "from ..database import Base",
        "from ..database import Base\nfrom ..money import Cents",
    )
    project.replace(
        MODELS, "from datetime import datetime", "import enum\nfrom datetime import datetime"
    )
    project.replace(
        MODELS,
        "class Note(Base):",
        'class State(enum.Enum):\n    OPEN = "open"\n    DONE = "done"\n\n\nclass Note(Base):',
    )
    project.replace(
        MODELS,
        BODY,
        BODY
        + '    state: Mapped[State] = mapped_column(server_default="OPEN")\n'
        + "    price: Mapped[int | None] = mapped_column(Cents())\n"
        + "    hidden: Mapped[bool] = mapped_column(server_default=false())\n",
    )
    project.replace(MODELS, "Text, func", "Text, false, func")

    assert migrate(project).returncode == 0

    revision = project.revisions()[-1].read_text()
    assert "import my_app.money\n" in revision
    assert 'sa.Enum("OPEN", "DONE", name="state", native_enum=False)' in revision
    assert "server_default=sa.false()" in revision
    live(project)
