"""Options of Alembic, schemas, plugins and kinds of tables, which `flask db migrate` respects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.util import PriorityDispatchResult
from apps import (
    NAMING_CONVENTION,
    Models,
    Site,
    notes,
    on_mysql,
    on_postgresql,
    on_servers,
    on_sqlite,
)
from flask import Flask
from flask_safe_migrations import (
    SafeMigrate,
    check_readiness,
    current_revisions,
    pending_revisions,
    unknown_tables,
)
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.types import TypeDecorator


class Shout(TypeDecorator[str]):
    """A type of the application that a revision has to name."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: object) -> String:
        return String(30)


def more(
    metadata: MetaData,
    items: Sequence[Any] = (),
    name: str = "extra",
    **options: Any,  # noqa: ANN401
) -> None:
    """Declare notes, and one more table."""
    notes(metadata)
    Table(name, metadata, Column("id", Integer, primary_key=True), *items, **options)


def change(site: Site, models: Models, *arguments: str, **options: Any) -> str:  # noqa: ANN401
    """Migrate to these models; return what the new revisions do."""
    before = set(site.revisions())
    site.new_app(models, options=options)
    site.flask("migrate", "-m", "change", *arguments)
    site.flask("upgrade")
    assert "No new upgrade operations" in site.flask("check")
    return "\n".join(path.read_text() for path in site.revisions() if path not in before)


def start(site: Site, models: Models = notes, **options: Any) -> str:  # noqa: ANN401
    """Make the first revision."""
    site.new_app(models, options=options)
    site.flask("init")
    return change(site, models, **options)


@pytest.fixture
def new(new_site: Callable[[str], Site], url: str) -> Site:
    """A folder without an application."""
    return new_site(url)


def leave_out(item: object, name: str, kind: str, reflected: bool, other: object) -> bool:
    return name not in ("extra", "ix_note_tag_tag_id")


def test_each_revision_leaves_out_what_include_object_does(new: Site) -> None:
    new.execute("CREATE TABLE extra (id INTEGER)")

    first = start(new, more, include_object=leave_out)
    second = change(
        new, partial(more, name="other"), include_object=lambda item, name, *rest: name != "note"
    )

    assert '"note"' in first
    assert "extra" not in first
    assert "ix_note_tag_tag_id" not in first
    assert '"other"' in second
    assert "drop" not in second.partition("def downgrade")[0]


@pytest.mark.parametrize(
    "plugins",
    [
        ["alembic.autogenerate.*"],
        ["alembic.autogenerate.schemas", "alembic.autogenerate.tables"],
        ["alembic.autogenerate.*", "~alembic.autogenerate.types"],
    ],
)
@on_servers
def test_the_plugins_of_alembic_can_be_chosen(new: Site, plugins: list[str]) -> None:
    start(new, notes, autogenerate_plugins=plugins)

    assert "extra" in change(new, more, autogenerate_plugins=plugins)


class MakeView(ops.MigrateOperation):
    """What a plugin might create before a table, or drop after it."""

    def __init__(self, name: str, verb: str = "CREATE") -> None:
        self.name, self.verb = name, verb

    def reverse(self) -> MakeView:
        return DropView(self.name, "DROP")

    def to_diff_tuple(self) -> tuple[str, str]:
        return self.verb, self.name


class DropView(MakeView):
    def reverse(self) -> MakeView:
        return MakeView(self.name)


ACTIVE: list[str] = []  # what Alembic has been given stays there


@comparators.dispatch_for("schema")
def compare_views(
    context: AutogenContext, upgrade: ops.UpgradeOps, schemas: object
) -> PriorityDispatchResult:
    if ACTIVE:
        assert context.connection is not None
        found = inspect(context.connection).get_view_names()
        if "early" not in found:
            upgrade.ops.insert(0, MakeView("early"))
        if "theirs" in found:
            upgrade.ops.append(DropView("theirs", "DROP"))
    return PriorityDispatchResult.CONTINUE


@renderers.dispatch_for(MakeView)
def render_view(context: AutogenContext, op: MakeView) -> str:
    body = " AS SELECT 1 AS one" if op.verb == "CREATE" else ""
    return f"op.execute('{op.verb} VIEW {op.name}{body}')"


@pytest.fixture
def plugin() -> Iterator[None]:
    """A plugin of the older kind, which registers functions; it can't do without a connection."""
    ACTIVE.append("yes")
    yield
    ACTIVE.clear()


@on_servers
def test_plugins_act_from_the_first_revision_on(new: Site, plugin: None) -> None:
    new.execute("CREATE VIEW theirs AS SELECT 1 AS one")

    new.new_app()
    new.flask("init")
    new.flask("migrate")
    text = new.revisions()[0].read_text()
    new.execute("DROP VIEW theirs")
    new.flask("upgrade")

    up, _, down = text.partition("def downgrade")
    assert up.index("CREATE VIEW early") < up.index("create_table")
    assert down.index('drop_table("note")') < down.index("DROP VIEW early")
    assert "theirs" not in text
    new.flask("downgrade", "base")
    new.flask("upgrade")
    assert "No new upgrade operations" in new.flask("check")


@on_postgresql
def test_plugins_are_left_out_where_the_database_is_away(new: Site, plugin: None) -> None:
    new.url = "postgresql+psycopg://u@127.0.0.1:1/d"
    new.new_app()
    new.flask("init")

    new.flask("migrate")

    assert "create_table" in new.revisions()[0].read_text()


@pytest.mark.parametrize("first", [True, False])
def test_hooks_of_the_application_run_beside_ours(new: Site, first: bool) -> None:
    def process(context: object, revision: object, directives: list[Any]) -> None:
        directives[0].rev_id = f"{len(new.revisions()) + 1:04}"
        directives[0].upgrade_ops.ops.append(ops.ExecuteSQLOp("SELECT 'after'"))
        directives[0].upgrade_ops.ops.insert(0, ops.ExecuteSQLOp("SELECT 'before'"))
        directives[0].downgrade_ops.ops.append(ops.ExecuteSQLOp("SELECT 'undone'"))

    def render(kind: str, item: object, context: object) -> str | bool:
        return "sa.String(61)" if isinstance(item, String) and item.length == 61 else False

    def include(name: str | None, kind: str, parents: object) -> bool:
        return name != "ignored"

    options: dict[str, Any] = {
        "process_revision_directives": process,
        "render_item": render,
        "include_name": include,
    }
    models = partial(more, items=[Column("name", String(61))], name="ignored")
    new.new_app(models, options=options)
    new.flask("init")
    new.flask("migrate")
    new.flask("upgrade")
    if not first:
        column = Column("name", String(61), index=True)
        new.new_app(partial(more, items=[column], name="other"), options=options)
        new.flask("migrate")
        new.flask("upgrade")
    text = "".join(path.read_text() for path in new.revisions()[0 if first else 1 :])
    up, _, down = text.partition("def downgrade")
    assert up.index("'before'") < up.index("create_table") < text.index("'after'")
    assert "'undone'" in down
    assert "sa.String(61)" in up
    assert re.search(r'revision = "000[12]"', text)
    assert "drop_table" not in up
    new.flask("downgrade", "base")


@on_sqlite
def test_a_hook_may_clear_a_revision(site: Site) -> None:
    def process(context: object, revision: object, directives: list[Any]) -> None:
        directives.clear()

    site.new_app(more, options={"process_revision_directives": process})

    site.flask("migrate")

    assert len(site.revisions()) == 1


@on_postgresql
def test_a_hook_may_leave_out_a_drop_that_would_be_refused(site: Site) -> None:
    def process(context: object, revision: object, directives: list[Any]) -> None:
        upgrade = directives[0].upgrade_ops
        upgrade.ops = [op for op in upgrade.ops if not isinstance(op, ops.DropTableOp)]

    change(site, more)
    site.new_app(notes, options={"process_revision_directives": process})

    assert "No changes" in site.flask("migrate")


def test_on_version_apply_of_the_application_is_called(new: Site) -> None:
    seen = []

    def applied(**arguments: Any) -> None:  # noqa: ANN401
        seen.append(arguments["step"].up_revision_id)

    start(new, notes, on_version_apply=applied)

    assert len(seen) == 1


@on_sqlite
def test_prefixes_of_modules_are_used(new: Site) -> None:
    start(new, notes)
    new.new_app(
        partial(more, items=[Column("name", Shout, server_default="x"), Column("at", Date)]),
        options={"sqlalchemy_module_prefix": "alchemy.", "user_module_prefix": "types_of_ours."},
    )

    new.flask("migrate")

    text = new.revisions()[-1].read_text()
    assert "types_of_ours.Shout()" in text
    assert "alchemy.Date()" in text
    assert f"import {Shout.__module__}" not in text


VERSIONS = {
    "sqlite": {"version_table": "shop_version"},
    "postgresql": {"version_table": "shop version", "version_table_schema": "admin"},
    "mysql": {"version_table": "shop_version"},
}


def test_the_version_table_is_found_in_all_places(new: Site) -> None:
    options = VERSIONS[new.kind]
    if new.kind == "postgresql":
        new.execute("CREATE SCHEMA admin")

    start(new, notes, **options)

    with new.app.app_context():
        assert check_readiness(60)
        assert len(current_revisions()) == 1
        assert unknown_tables() == []
    new.app.debug = True
    new.flask("reset", "--yes")
    assert "Seeded" not in new.flask("prepare")
    assert "alembic_version" not in new.tables()
    assert "(head)" in new.flask("current")
    new.flask("downgrade", "base")
    with new.app.app_context():
        assert check_readiness(60).pending == pending_revisions() != []


@on_mysql
def test_an_interrupted_upgrade_is_continued_with_another_version_table(new: Site) -> None:
    start(new, notes, version_table="shop_version")
    new.add_revision(
        "halves",
        "op.create_table('one', sa.Column('id', sa.Integer()))\nop.execute('SELEC 1')",
    )
    assert "SELEC" in new.fail("upgrade")
    new.edit(new.revisions()[-1], "SELEC 1", "SELECT 1")

    new.flask("upgrade")

    assert {"one", "shop_version"} <= new.tables()
    assert "alembic_unfinished" not in new.tables()


def in_schemas(
    metadata: MetaData,
    *,
    schemas: Sequence[str | None] = (),
    columns: Callable[[], list[Any]] = list,
) -> None:
    """Declare a table of the same name in each schema."""
    notes(metadata)
    for schema in schemas:
        key = f"{schema}.parent.id" if schema else "parent.id"
        Table("parent", metadata, Column("id", Integer, primary_key=True), schema=schema)
        Table(
            "parcel",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("parent_id", ForeignKey(key)),
            *columns(),
            schema=schema,
        )


@pytest.fixture
def schemas(new: Site) -> Iterator[tuple[str, str]]:
    """Two schemas of the server; on MySQL these are databases."""
    database = re.sub(r"\W", "", new.url.rpartition("/")[2])
    names = f"{database}_east", f"{database}_order"
    for name in names:
        new.execute(f"CREATE SCHEMA {name}")
    yield names
    for name in names:
        new.execute(f"DROP SCHEMA {name}" + (" CASCADE" if new.kind == "postgresql" else ""))


@on_servers
def test_the_same_table_in_several_schemas(new: Site, schemas: tuple[str, str]) -> None:
    def columns() -> list[Any]:
        return [Column("size", Integer, index=True), Column("code", String(9), unique=True)]

    start(new, in_schemas, include_schemas=True)
    models = partial(in_schemas, schemas=[None, *schemas])
    assert change(new, models, include_schemas=True).count('"parcel"') >= 3
    filled = partial(in_schemas, schemas=[None, *schemas], columns=columns)
    texts = change(new, filled, include_schemas=True)
    for schema in schemas:
        assert f'schema="{schema}"' in texts
        new.execute(f"INSERT INTO {schema}.parent (id) VALUES (1)")

    new.new_app(partial(in_schemas, schemas=[None]), options={"include_schemas": True})
    said = new.fail("migrate")
    assert f"The models no longer have the table {schemas[0]}.parcel" in said
    drops = [f"drop={schema}.{name}" for schema in schemas for name in ("parcel", "parent")]
    drops += ["drop=parcel.size", "drop=parcel.code"]
    change(
        new,
        partial(in_schemas, schemas=[None]),
        *(it for drop in drops for it in ("-x", drop)),
        include_schemas=True,
    )
    new.flask("downgrade", "base")
    new.flask("upgrade")


@on_postgresql
def test_changes_of_filled_tables_in_a_schema(new: Site, schemas: tuple[str, str]) -> None:
    schema = schemas[1]

    def columns(*, strict: bool) -> list[Any]:
        return [
            Column("size", Integer, nullable=not strict, index=strict, unique=strict),
            Column("other_id", Integer, *([ForeignKey(f"{schema}.parent.id")] if strict else [])),
        ]

    start(
        new,
        partial(in_schemas, schemas=[schema], columns=partial(columns, strict=False)),
        include_schemas=True,
    )
    new.execute(f"INSERT INTO {schema}.parcel (size) VALUES (1)")

    change(
        new,
        partial(in_schemas, schemas=[schema], columns=partial(columns, strict=True)),
        include_schemas=True,
    )

    assert new.rows(
        "SELECT bool_and(convalidated) FROM pg_constraint"
        f" WHERE contype = 'f' AND conrelid = '{schema}.parcel'::regclass"
    ) == [(True,)]
    assert "No danger was found." in new.flask("lint")


@on_postgresql
def test_the_usual_schema_may_be_named(new: Site) -> None:
    start(new, partial(more, schema="public"))

    assert "No changes" in new.flask("migrate")
    new.new_app(notes)
    assert "The models no longer have the table extra" in new.fail("migrate")


@on_postgresql
def test_a_partitioned_table_is_changed(site: Site) -> None:
    def models(metadata: MetaData, *, more: bool) -> None:
        notes(metadata)
        Table(
            "reading",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("day", Date, primary_key=True),
            Column("meter", Integer, index=more, nullable=not more),
            Column("tag_id", Integer, *([ForeignKey("tag.id")] if more else [])),
            *([UniqueConstraint("meter", "day")] if more else []),
            postgresql_partition_by="RANGE (day)",
        )

    change(site, partial(models, more=False))
    site.execute(
        "CREATE TABLE y2020 PARTITION OF reading FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "INSERT INTO reading (id, day, meter) VALUES (1, '2020-02-02', 1)",
    )

    change(site, partial(models, more=True))

    assert "No danger was found." in site.flask("lint")
    change(site, partial(models, more=False))
    site.flask("downgrade", "base")
    site.flask("upgrade")


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ("v2", ["v2", "v2b", "v2bb"]),
        ("zz", ["zz", "zzb", "zzbb"]),
        ("0009", ["0009", "0010", "0011"]),
        ("ffffffffffff", ["ffffffffffff", "ffffffffffffb", "ffffffffffffbb"]),
        ("x" * 32, ["x" * 32, None, None]),
    ],
)
@on_postgresql
def test_revisions_written_at_once_follow_the_given_id(
    site: Site, wanted: str, written: list[str | None]
) -> None:
    def models(metadata: MetaData) -> None:
        notes(metadata, Column("place", Integer, index=True), Column("code", Integer, index=True))

    change(site, models, "--rev-id", wanted)

    texts = [path.read_text() for path in site.revisions()[1:]]
    found = [re.findall(r'^revision = "(\w+)"', it, re.MULTILINE)[0] for it in texts]
    for expected, actual in zip(written, found, strict=True):
        assert expected in (None, actual)


def with_binds(site: Site, **options: Any) -> Flask:  # noqa: ANN401
    """Make an application with two databases."""
    app = Flask("shop", root_path=str(site.folder), instance_path=str(site.folder))
    app.config["SQLALCHEMY_DATABASE_URI"] = site.url
    app.config["SQLALCHEMY_BINDS"] = {"meters": f"sqlite:///{site.folder / 'meters.db'}"}
    db = SQLAlchemy(app, metadata=MetaData(naming_convention=NAMING_CONVENTION))
    notes(db.metadata)

    class Meter(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "meters"
        id = Column(Integer, primary_key=True)

    if options.pop("alone", False):
        options["target_metadata"] = db.metadata
    SafeMigrate(app, db, directory=site.folder / "migrations", **options)
    site.apps.append(app)
    return app


@on_sqlite
def test_models_of_another_database_are_refused_or_left_out_on_purpose(new: Site) -> None:
    with_binds(new)
    new.flask("init")

    said = new.fail("migrate")

    assert "meter (meters)" in said
    assert "target_metadata=db.metadata" in said
    assert "flask db init --multidb" in said
    with_binds(new, alone=True)
    new.flask("migrate")
    new.flask("upgrade")
    assert "note" in new.tables()


@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated")  # by that environment
@on_sqlite
def test_multidb_is_the_environment_of_flask_migrate(new: Site) -> None:
    with_binds(new)
    new.flask("init", "--multidb")

    assert "doesn't use SafeMigrate" in new.flask("migrate")
    new.flask("upgrade")

    assert "note" in new.tables()
    other = Site(Path(new.folder), f"sqlite:///{new.folder / 'meters.db'}")
    assert "meter" in other.tables()


@on_sqlite
def test_several_collections_of_tables_are_migrated(new: Site) -> None:
    other = MetaData()
    Table("extra", other, Column("id", Integer, primary_key=True))
    app = new.new_app()
    metadata = app.extensions["migrate"].db.metadata
    SafeMigrate(
        app,
        app.extensions["migrate"].db,
        directory=new.folder / "migrations",
        target_metadata=[metadata, other],
    )
    for command in (["init"], ["migrate"], ["upgrade"]):
        new.flask(*command)

    assert {"extra", "note"} <= new.tables()
    assert "No changes" in new.flask("migrate")


@on_sqlite
def test_an_index_of_an_expression_is_created_once_and_kept(site: Site) -> None:
    def models(metadata: MetaData, size: int) -> None:
        columns = [Column("name", String(50, collation="NOCASE")), Column("size", String(size))]
        more(metadata, [*columns, Index("ix_extra_lower", text("lower(name)"))])

    for size in (10, 20):
        change(site, partial(models, size=size))
        assert site.rows("SELECT count(*) FROM sqlite_master WHERE name = 'ix_extra_lower'") == [
            (1,)
        ]
    site.flask("downgrade", "base")
    site.flask("upgrade")


@pytest.mark.parametrize("name", ["order", "Select", "a b", 'a"b', "100%", "a:b", "größe", "a.b"])
def test_quoted_and_reserved_names(site: Site, name: str) -> None:
    if site.kind == "sqlite" and name == 'a"b':
        pytest.skip("SQLAlchemy doesn't find a constraint with such a name in SQLite")

    def models(metadata: MetaData, *, strict: bool) -> None:
        notes(metadata)
        Table(
            name,
            metadata,
            Column("id", Integer, primary_key=True),
            Column(name, Integer, nullable=not strict, index=strict, unique=strict),
            Column("tag", Integer, *([ForeignKey("tag.id")] if strict else [])),
        )

    change(site, partial(models, strict=False))
    change(site, partial(models, strict=True))
    assert "No danger was found." in site.flask("lint")
    site.flask("downgrade", "base")
    site.flask("upgrade")
