"""`flask db lint` names what would hurt, on each database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Project
from servers import KINDS

Make = Callable[[str], tuple[Project, str]]
DANGERS = {
    "drop-table": 'op.drop_table("note_tag")',
    "drop-column": 'op.drop_column("note", "body")',
    "rename": 'op.alter_column("note", "body", new_column_name="content", existing_type=sa.Text())',
    "not-null-without-default": 'op.add_column("note", sa.Column("price", sa.Integer(), nullable=False))',
    "change-type": 'op.alter_column("note", "title", type_=sa.Text(), existing_nullable=False)',
    "all-rows": """op.execute("UPDATE note SET body = 'x'")""",
}
# What they are called on PostgreSQL, by squawk but for the last.
SQUAWK = {
    "drop-table": "ban-drop-table",
    "drop-column": "ban-drop-column",
    "rename": "renaming-column",
    "not-null-without-default": "adding-required-field",
    "change-type": "changing-column-type",
    "all-rows": "all-rows",
}
HARMLESS = """
op.add_column("note", sa.Column("price", sa.Integer(), nullable=True))
op.add_column("note", sa.Column("size", sa.Integer(), server_default="0", nullable=False))
op.create_table("other", sa.Column("id", sa.Integer(), nullable=False))
op.execute("UPDATE note SET price = 1 WHERE price IS NULL")
"""
IN_A_BATCH = """
with op.batch_alter_table("note") as batch_op:
    batch_op.drop_column("body")
    batch_op.add_column(sa.Column("price", sa.Integer(), nullable=False))
    batch_op.alter_column("title", type_=sa.String(300), existing_type=sa.String(200))
    batch_op.create_unique_constraint("uq_note_title", ["title"])
"""
READS = """
op.drop_table("note_tag")
for (number,) in op.get_bind().execute(sa.text("SELECT id FROM note")).all():
    op.execute(f"UPDATE note SET title = title WHERE id = {number}")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_each_danger_is_named_until_it_is_allowed_with_a_reason(kind: str, on: Make) -> None:
    project, _ = on(kind)
    names = SQUAWK if kind == "postgresql" else {rule: rule for rule in DANGERS}
    project.add_revision("harmless", HARMLESS)
    revisions = {rule: project.add_revision(rule, DANGERS[rule]) for rule in names}

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


def test_a_batch_on_sqlite_is_read_as_what_it_means(fresh_project: Project) -> None:
    revision = fresh_project.add_revision("batch", IN_A_BATCH)

    done = fresh_project.run("uv", "run", "flask", "db", "lint", revision)

    for rule in ("drop-column", "not-null-without-default", "change-type"):
        assert f"{revision}: {rule}\n" in done.stdout
    assert done.stdout.count(f"{revision}: ") == 3
    assert done.returncode == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_revision_that_reads_rows_is_named_as_read_by_half(kind: str, on: Make) -> None:
    project, _ = on(kind)
    revision = project.add_revision("reads", READS)

    done = project.run("uv", "run", "flask", "db", "lint")

    assert f"{revision}: unreadable\n" in done.stdout
    assert "drop-table\n" in done.stdout  # what comes before
    assert "Traceback" not in done.stdout
    assert done.returncode == 1
    (path,) = [path for path in project.revisions() if path.name.endswith("_reads.py")]
    allowed = "# lint: allow unreadable: small table\n"
    drop = "# lint: allow drop-table: unused\n# lint: allow ban-drop-table: unused\n"
    path.write_text(allowed + drop + path.read_text())
    assert "No danger was found." in project.succeed("uv", "run", "flask", "db", "lint")


def test_a_revision_that_is_not_there_is_named(project: Project) -> None:
    done = project.run("uv", "run", "flask", "db", "lint", "nothing")

    assert done.returncode == 1
    assert "Can't locate revision identified by 'nothing'" in done.stdout
    assert "Traceback" not in done.stdout
