"""What a load balancer sees of the database, and what an application can ask of its revisions."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
from apps import Site, on_postgresql, on_servers, on_sqlite
from flask import Flask
from flask_safe_migrations import (
    DatabaseUnavailable,
    Readiness,
    SafeMigrate,
    check_database,
    check_readiness,
    create_database,
    current_revisions,
    describe_database,
    drop_database,
    is_in_memory,
    pending_revisions,
    unknown_tables,
)
from servers import Server
from sqlalchemy import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UNANSWERED = "the database does not answer"


def ask(site: Site, timeout: float = 5) -> Readiness:
    with site.app.app_context():
        return check_readiness(timeout)


def test_a_migrated_database_is_ready(site: Site) -> None:
    assert ask(site) == Readiness(None, [])
    assert ask(site)


def test_a_pending_migration_is_not_ready(site: Site) -> None:
    revision = site.add_revision("more", "pass")

    assert not ask(site)
    assert ask(site) == Readiness("migrations are pending", [revision])
    site.flask("upgrade")
    assert ask(site)


def test_a_database_without_tables_is_not_ready(empty_site: Site) -> None:
    empty_site.flask("init")
    assert ask(empty_site).reason == "this code has no migrations"
    empty_site.flask("migrate")
    assert ask(empty_site).reason == "migrations are pending"


def test_without_a_folder_of_migrations_none_is_pending(empty_site: Site) -> None:
    assert ask(empty_site) == Readiness("this code has no migrations", [])
    with empty_site.app.app_context():
        assert current_revisions() == ()
        assert pending_revisions() == []


def test_a_database_migrated_by_a_newer_release_is_ready(site: Site) -> None:
    site.execute("UPDATE alembic_version SET version_num = 'from_tomorrow'")

    assert ask(site)
    with site.app.app_context():
        assert current_revisions() == ("from_tomorrow",)
        assert pending_revisions() == []


@on_sqlite
def test_of_two_branches_both_have_to_be_applied(site: Site) -> None:
    (first,) = site.revisions()
    first.unlink()
    for name, below in {"a": None, "b": "a", "c": "a", "d": ("b", "c")}.items():
        text = f"revision = {name!r}\ndown_revision = {below!r}\ndef upgrade(): ...\n"
        (first.parent / f"{name}.py").write_text(text)

    def pending(*heads: str) -> list[str]:
        site.execute("DELETE FROM alembic_version")
        for head in heads:
            site.execute(f"INSERT INTO alembic_version VALUES ('{head}')")
        with site.app.app_context():
            assert sorted(current_revisions()) == sorted(heads)
            return pending_revisions()

    assert sorted(pending()) == ["a", "b", "c", "d"]
    assert sorted(pending("b")) == ["c", "d"]
    assert pending("b", "c") == ["d"]
    assert pending("d") == pending("x") == []


@on_postgresql
def test_a_server_that_takes_no_writes_is_not_ready(site: Site, postgresql: Server) -> None:
    name = make_url(site.url).database
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    site.new_app()

    assert ask(site).reason == "the database takes no writes"

    postgresql.run(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    site.new_app()
    assert ask(site)


@pytest.fixture
def nowhere(kind: str, tmp_path: Path) -> str:
    return {
        "sqlite": "sqlite:////no/folder/app.db",
        "postgresql": "postgresql+psycopg://u@127.0.0.1:1/d",
        "mysql": "mysql+pymysql://u@127.0.0.1:1/d",
    }[kind]


def test_a_database_that_is_gone_is_not_ready(site: Site, nowhere: str) -> None:
    site.new_app(SQLALCHEMY_DATABASE_URI=nowhere)

    assert ask(site) == Readiness(UNANSWERED, [])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@on_servers
def test_a_database_that_hangs_is_answered_for_in_time(
    site: Site, kind: str, silent_port: int
) -> None:
    url = make_url(site.url).set(port=silent_port)
    options = {"connect_args": {"connect_timeout": 3}}
    site.new_app(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=options)
    started = time.monotonic()

    assert [ask(site, 0.2).reason for _ in range(3)] == [UNANSWERED] * 3  # while the first waits

    assert time.monotonic() - started < 2.5
    with site.app.app_context(), pytest.raises(DatabaseUnavailable, match="can't be used"):
        check_database(url)
    assert time.monotonic() - started < 15


@on_sqlite
def test_a_check_that_is_held_up_is_the_only_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, entered = threading.Event(), []

    def hang(connection: object, state: object) -> tuple[str, ...]:
        entered.append(connection)
        over.wait(10)
        return ()

    monkeypatch.setattr("flask_safe_migrations._readiness.read_heads", hang)

    assert [ask(site, 0.05).reason for _ in range(3)] == [UNANSWERED] * 3
    assert len(entered) == 1
    over.set()


def test_unknown_tables_are_those_that_no_revision_made(site: Site) -> None:
    site.execute("CREATE TABLE theirs (id INTEGER)")
    site.add_revision("gone", 'op.create_table("gone", sa.Column("id", sa.Integer()))')
    site.flask("upgrade")

    with site.app.app_context():
        assert unknown_tables() == ["theirs"]


def test_databases_are_created_described_and_dropped(
    site: Site, kind: str, request: pytest.FixtureRequest
) -> None:
    url = make_url(site.url)
    with site.app.app_context():
        check_database(url)
    if kind == "sqlite":
        assert describe_database(url) == url.database
        assert not is_in_memory(url)
        assert is_in_memory(make_url("sqlite://"))
        return
    server: Server = request.getfixturevalue(kind)
    url = make_url(servers.driver_named(server.uri(server.name_to_drop())))
    assert describe_database(url) == f"{url.database} on 127.0.0.1:{url.port}"
    assert not is_in_memory(url)
    with site.app.app_context():
        with pytest.raises(DatabaseUnavailable, match="There is no database") as error:
            check_database(url)
        assert error.value.missing
        create_database(url)
        create_database(url)  # another process has been faster
        check_database(url)
        drop_database(url)
        drop_database(url)
        with pytest.raises(DatabaseUnavailable):
            check_database(url)


def test_a_database_that_cannot_be_used_is_explained(site: Site, kind: str, nowhere: str) -> None:
    remedy = "Create its folder, /no/folder" if kind == "sqlite" else "Start the database"
    with site.app.app_context(), pytest.raises(DatabaseUnavailable, match=remedy) as error:
        check_database(make_url(nowhere))
    assert not error.value.missing


@on_postgresql
def test_a_password_that_is_wrong_is_explained(
    site: Site, postgresql_with_passwords: Server
) -> None:
    url = make_url(servers.driver_named(postgresql_with_passwords.uri("d", "nobody", "secret")))
    with site.app.app_context(), pytest.raises(DatabaseUnavailable) as error:
        check_database(url)
    assert "password authentication failed" in str(error.value)
    assert "secret" not in str(error.value)
    assert not error.value.missing


class Model(DeclarativeBase):
    """The base of models for Flask-SQLAlchemy-Lite."""


class Book(Model):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)


@on_sqlite
def test_flask_sqlalchemy_lite_is_given_the_metadata_of_its_models(
    new_site: Callable[[str], Site], url: str
) -> None:
    flask_sqlalchemy_lite = pytest.importorskip("flask_sqlalchemy_lite")
    site = new_site(url)
    app = Flask("shop", root_path=str(site.folder), instance_path=str(site.folder))
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    db = flask_sqlalchemy_lite.SQLAlchemy(app)
    SafeMigrate(app, db, directory=site.folder / "migrations", target_metadata=Model.metadata)
    site.apps.append(app)

    for command in (["init"], ["migrate"], ["upgrade"], ["check"]):
        site.flask(*command)

    assert site.tables() == {"alembic_version", "book"}
    with app.app_context():
        assert len(current_revisions()) == 1
        assert pending_revisions() == []
        assert check_readiness(5)
