"""Options of Alembic, schemas, plugins and kinds of tables, which `flask db migrate` respects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from apps import Site, notes, on_postgresql, on_sqlite
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
    text,
)


@on_sqlite
def test_an_index_of_an_expression_outlives_a_change(site: Site) -> None:
    def models(metadata: MetaData, size: int) -> None:
        notes(metadata)
        Table(
            "member",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("name", String(50, collation="NOCASE")),
            Column("size", String(size)),
            Index("ix_member_lower", text("lower(name)")),
        )

    for size in (10, 20):
        site.new_app(partial(models, size=size))
        site.flask("migrate", "-m", "change")
        site.flask("upgrade")
        print(site.revisions()[-1].read_text())
        print(site.rows("select sql from sqlite_master"))
    assert 0


@on_postgresql
def test_a_partitioned_table_is_changed(site: Site) -> None:
    def models(metadata: MetaData, unique: bool) -> None:
        notes(metadata)
        Table(
            "reading",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("day", Date, primary_key=True),
            Column("meter", Integer, index=unique),
            *([UniqueConstraint("meter", "day")] if unique else []),
            postgresql_partition_by="RANGE (day)",
        )

    site.new_app(partial(models, unique=False))
    site.flask("migrate", "-m", "change")
    site.flask("upgrade")
    site.new_app(partial(models, unique=True))
    site.flask("migrate", "-m", "change")
    print(site.revisions()[-1].read_text())
    site.flask("upgrade")
