"""`flask db lint` names what would hurt, on each database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Project
from servers import KINDS
from test_migrating import add_revision

Make = Callable[[str], tuple[Project, str]]
DANGERS = {
    "drop-table": 'op.drop_table("note_tag")',
    "drop-column": 'op.drop_column("note", "body")',
    "rename": 'op.alter_column("note", "body", new_column_name="content", existing_type=sa.Text())',
    "not-null-without-default": 'op.add_column("note", sa.Column("price", sa.Integer(), nullable=False))',
    "change-type": 'op.alter_column("note", "title", type_=sa.Text(), existing_nullable=False)',
    "all-rows": """op.execute("UPDATE note SET body = 'x'")""",
}
# What squawk calls them; it has no rule for changes of rows.
SQUAWK = {
    "drop-table": "ban-drop-table",
    "drop-column": "ban-drop-column",
    "rename": "renaming-column",
    "not-null-without-default": "adding-required-field",
    "change-type": "changing-column-type",
}
HARMLESS = """
op.add_column("note", sa.Column("price", sa.Integer(), nullable=True))
op.add_column("note", sa.Column("size", sa.Integer(), server_default="0", nullable=False))
op.create_table("other", sa.Column("id", sa.Integer(), nullable=False))
op.execute("UPDATE note SET price = 1 WHERE price IS NULL")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_each_danger_is_named_until_it_is_allowed_with_a_reason(kind: str, on: Make) -> None:
    project, _ = on(kind)
    names = SQUAWK if kind == "postgresql" else {rule: rule for rule in DANGERS}
    add_revision(project, "harmless", HARMLESS)
    revisions = {rule: add_revision(project, rule, DANGERS[rule]) for rule in names}

    done = project.run("uv", "run", "flask", "db", "lint")

    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    for rule, revision in revisions.items():
        assert f"{revision}: {names[rule]}\n" in done.stdout
    found = [
        line for line in done.stdout.splitlines() if line.count(": ") == 1 and line[:6] == "000000"
    ]
    assert len(found) == len(names)
    for reason in ("", ": nobody uses it any more"):
        for rule, name in names.items():
            (path,) = [path for path in project.revisions() if path.name.endswith(f"_{rule}.py")]
            text = path.read_text().removeprefix(f"# lint: allow {name}\n")
            path.write_text(f"# lint: allow {name}{reason}\n{text}")
        done = project.run("uv", "run", "flask", "db", "lint")
        assert done.stdout.count("without a reason") == (0 if reason else len(names))
        assert done.returncode == (0 if reason else 1)


def test_a_revision_that_is_not_there_is_named(project: Project) -> None:
    done = project.run("uv", "run", "flask", "db", "lint", "nothing")

    assert done.returncode == 1
    assert "Can't locate revision identified by 'nothing'" in done.stdout
    assert "Traceback" not in done.stdout
