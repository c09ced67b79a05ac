"""The database: the session, the base class of all models, and the migrations."""

from __future__ import annotations

import enum
import logging
import os
from datetime import datetime
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Enum, MetaData, String, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, registry

from ..config import PROJECT_ROOT
from . import engine, queries, server
from .types import UtcDateTime

log = logging.getLogger(__name__)

# Constraints need names that are the same on every database, or no revision can drop them.
# https://alembic.sqlalchemy.org/en/latest/naming.html
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base class of the models: https://docs.sqlalchemy.org/en/21/orm/quickstart.html."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={
            str: String(255),  # MySQL has no string type without a length
            datetime: UtcDateTime(),
            # PostgreSQL's own enums stay behind when a revision is undone.
            enum.Enum: Enum(enum.Enum, native_enum=False),
        },
    )


# What has been committed in a request can be read there without asking for it again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate(db=db, directory=str(PROJECT_ROOT / "migrations"))

# `flask db init` starts from these files, should you ever delete migrations/ to begin anew.
os.environ.setdefault(
    "FLASK_DB_INIT_TEMPLATE", str(Path(__file__).parent / "migration" / "template")
)


def init_app(app: Flask) -> None:
    """Connect the application to its database."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    # A connection that the server has closed meanwhile is replaced before its use.
    ping = url.get_backend_name() != "sqlite"
    limit = app.config["QUERY_TIMEOUT"]
    connect_args = server.time_limits(url, limit)
    if app.config["MIGRATION_DATABASE_URL"]:
        connect_args |= server.through_pooler(url)
    options = {"connect_args": connect_args, "pool_pre_ping": ping}
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", options)
    db.init_app(app)
    app.teardown_appcontext(_close)  # before that of Flask-SQLAlchemy
    migrate.init_app(app)
    with app.app_context():
        engine.configure(db.engine)
        engine.limit_queries(db.engine, limit)
        queries.init_app(app, db.engine)


def _close(error: BaseException | None) -> None:
    """End the transaction. It doesn't matter to a finished answer that the server has gone since."""
    try:
        db.session.remove()
    except DBAPIError:
        log.warning("The database was gone before the end of the request", exc_info=True)
        db.session().invalidate()
