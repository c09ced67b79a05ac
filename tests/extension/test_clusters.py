"""Databases that are more than one server, or none of those that the other tests use."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import clusters
import pytest
from apps import Site
from conftest import ROUNDS
from reliability import report
from servers import Server, driver_named, snapshot
from upgrades import SCRIPT, add_several, succeed

NewSite = Callable[[str], Site]


def url_of(server: Server, name: str) -> str:
    return driver_named(server.uri(name))


@pytest.mark.thorough
def test_migrations_run_on_a_newer_mysql(new_site: NewSite) -> None:
    with clusters.mysql() as server:
        site = new_site(url_of(server, server.new_database()))
        site.new_app(DEBUG=True)
        for command in ("init", "migrate", "upgrade", "check"):
            site.flask(command)
        site.fill()
        site.add_revision(
            "rank",
            'op.add_column("note", sa.Column("rank_", sa.Integer(), nullable=True))',
            'op.drop_column("note", "rank_")',
        )
        site.flask("upgrade")
        assert "Filled note.rank_ in 1 rows." in site.flask("backfill", "note.rank_", "id")
        site.flask("downgrade", "base")
        site.flask("prepare")
        site.flask("reset", "--yes")
        assert site.rows("SELECT count(*) FROM note") == [(0,)]

        other = new_site(url_of(server, server.new_database()))
        other.script(SCRIPT)
        other.load()
        other.flask("init")
        add_several(other)
        succeed(other.start("app.py", "12"))
        assert len(snapshot(other.url)) == 11


@pytest.mark.thorough
def test_a_pooler_that_shares_sessions_is_refused(site_behind: Callable[[str], Site]) -> None:
    site = site_behind("transaction")

    for command in ("upgrade", "prepare", "current"):
        said = site.fail(command)
        assert "uses a pooler in transaction mode" in said
        assert "Set MIGRATION_DATABASE_URL" in said


@pytest.mark.thorough
def test_a_pooler_that_keeps_sessions_apart_is_fine(site_behind: Callable[[str], Site]) -> None:
    site = site_behind("session")

    site.flask("upgrade")
    assert "(head)" in site.flask("current")


@pytest.fixture
def site_behind(
    new_site: NewSite, postgresql: Server, request: pytest.FixtureRequest
) -> Callable[[str], Site]:
    """A function that makes a site whose database is behind a pooler in this mode."""

    def make(mode: str) -> Site:
        name = postgresql.new_database()
        site = new_site(url_of(postgresql, name))
        site.new_app()
        site.flask("init")
        site.flask("migrate")
        running = clusters.pooler(postgresql, mode)
        front = running.__enter__()
        request.addfinalizer(lambda: running.__exit__(None, None, None))
        site.new_app(SQLALCHEMY_DATABASE_URI=url_of(front, name))
        return site

    return make


@pytest.mark.weekly
def test_of_many_upgrades_on_three_nodes_one_does_the_work(new_site: NewSite) -> None:
    with clusters.galera() as nodes:
        name = nodes[0].new_database()
        urls = [url_of(node, name) for node in nodes]
        site = new_site(urls[0])
        site.script(SCRIPT)
        site.load()
        site.flask("init")
        site.execute("CREATE TABLE applied (id INTEGER PRIMARY KEY AUTO_INCREMENT, number INTEGER)")
        for number in range(3):
            site.add_revision(
                f"slow_{number}",
                f"""
                op.create_table("slow_{number}", sa.Column("id", sa.Integer(), primary_key=True))
                time.sleep(0.1)
                op.execute("INSERT INTO applied (number) VALUES ({number})")
                """,
                f'op.drop_table("slow_{number}")',
            )
        for _ in range(ROUNDS):
            succeed(site.start("app.py", "12", NODES=" ".join(urls)))

            assert site.rows("SELECT number FROM applied ORDER BY number") == [(0,), (1,), (2,)]
            assert "(head)" in site.flask("current")
            site.flask("downgrade", "base")
            site.execute("DELETE FROM applied")
        report(
            "Two at once",
            "twelve upgrades over three nodes of a Galera cluster",
            "one does the work, the others find nothing to do",
            tries=ROUNDS,
            ordinary=3,
            on="mysql",
        )

        add_several(site)
        with site.start("app.py", "again") as upgrade:
            assert upgrade.stdout
            while upgrade.stdout.readline() != "ready\n":
                pass
            time.sleep(0.3)
            upgrade.send_signal(signal.SIGKILL)
        site.load(DATABASE_URL=urls[1])
        site.flask("upgrade")
        assert "(head)" in site.flask("current")
