"""Bring the database to where this code needs it: created, upgraded and, if it is new, seeded."""

from __future__ import annotations

from alembic import command
from flask import current_app

from .. import seeds
from . import db, revisions, server
from .migration import environment


def prepare() -> list[str]:
    """Do what is still to do; say what that was, a line each.

    Raises:
        server.Unavailable: there is no database, and none can be made.
        alembic.util.CommandError: a revision failed.
    """
    url = environment.database_url()
    done = []
    if not server.is_in_memory(url):
        try:
            server.check(url)
        except server.Unavailable as problem:
            if not problem.missing:
                raise
            server.create_database(url)  # servers only
            done.append(f"Created the database {server.place(url)}.")  # servers only
    before = revisions.current()
    db.session.remove()  # it would hold a lock that the upgrade needs
    command.upgrade(current_app.extensions["migrate"].migrate.get_config(), "head")
    if not before:
        seeds.seed()
        done.append("Seeded it.")
    return done
