"""`flask db lint` names what is dangerous, on each database."""

from __future__ import annotations

from apps import Site, on_sqlite

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
op.alter_column("note", "title", comment="as in a list", existing_type=sa.String(200))
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


def test_each_danger_is_named_until_it_is_allowed_with_a_reason(site: Site) -> None:
    names = SQUAWK if site.kind == "postgresql" else {rule: rule for rule in DANGERS}
    site.add_revision("harmless", HARMLESS)
    revisions = {rule: site.add_revision(rule, DANGERS[rule]) for rule in names}

    done = site.run("lint")

    assert done.code == 1
    for rule, revision in revisions.items():
        assert f"{revision}: {names[rule]}\n" in done.text
    found = [
        line for line in done.text.splitlines() if line.count(": ") == 1 and line[:6] == "000000"
    ]
    assert len(found) == len(names)
    for reason in ("", ": nobody uses it any more"):
        for rule, name in names.items():
            (path,) = [path for path in site.revisions() if path.name.endswith(f"_{rule}.py")]
            text = path.read_text().removeprefix(f"# lint: allow {name}\n")
            path.write_text(f"# lint: allow {name}{reason}\n{text}")
        done = site.run("lint")
        assert done.text.count("comment has no reason") == (0 if reason else len(names))
        assert done.code == (0 if reason else 1)


@on_sqlite
def test_a_batch_on_sqlite_is_read_as_what_it_means(site: Site) -> None:
    revision = site.add_revision("batch", IN_A_BATCH)

    done = site.run("lint", revision)

    for rule in ("drop-column", "not-null-without-default", "change-type"):
        assert f"{revision}: {rule}\n" in done.text
    assert done.text.count(f"{revision}: ") == 3
    assert done.code == 1


def test_a_revision_that_reads_rows_is_reported_as_checked_in_part(site: Site) -> None:
    revision = site.add_revision("reads", READS)

    done = site.run("lint")

    assert f"{revision}: unreadable\n" in done.text
    assert "drop-table\n" in done.text  # what comes before
    assert done.code == 1
    path = site.revisions()[-1]
    allowed = "# lint: allow unreadable: small table\n"
    drop = "# lint: allow drop-table: unused\n# lint: allow ban-drop-table: unused\n"
    path.write_text(allowed + drop + path.read_text())
    assert "No danger was found." in site.flask("lint")


@on_sqlite
def test_a_revision_that_does_not_exist_is_named(site: Site) -> None:
    assert "Can't locate revision identified by 'nothing'" in site.fail("lint", "nothing")
