"""Brings the database to where this code needs it; in development, from any state: `flask db reset`."""

import logging
from typing import Any

from alembic import command
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, delete, func, inspect, select, table

from . import _differences, _environment, _mysql_resume, _revisions, _server
from ._state import State, get_state

log = logging.getLogger("alembic.env")


def prepare() -> list[str]:
    """Create the database if it is missing, upgrade it, seed it if it is new; return what was done."""
    state = get_state()
    done = []
    if not _server.is_in_memory(state.url):
        try:
            _server.check_database(state.url)
        except _server.DatabaseUnavailable as error:
            if not error.missing:
                raise
            _server.create_database(state.url)
            done.append(f"Created the database {_server.describe_database(state.url)}.")
    config: Any = state.migrate.get_config()
    try:
        command.upgrade(config, "head")
    except _differences.UnknownRevision as error:
        with _revisions.connect(state.engine) as connection:
            if not is_of_this_project(connection, state):
                raise
        done.append(f"A newer release has migrated the database to {error.revision}.")
    if config.attributes.get("is_new_database") and state.seed:
        state.seed()
        with _revisions.connect(state.engine) as connection:
            names = set(inspect(connection).get_table_names())
            made = names & set(_revisions.made_tables(state.directory))
            counts = [select(func.count()).select_from(table(name)) for name in made]
            if any(connection.scalar(count) for count in counts):
                done.append("Seeded it.")
    return done


def reset() -> None:
    """Undo all revisions, or drop the tables that they have made, and apply them again."""
    state = get_state()
    configs: list[Any] = [state.migrate.get_config() for _ in range(2)]  # refuses wrong files
    with _environment.connect() as connection:
        heads = _revisions.read_heads(connection, state)
        is_ours = bool(heads) or inspect(connection).has_table(_mysql_resume.TABLE)
        is_lost = bool(set(heads) - _revisions.known_revisions(state.directory))
        if is_lost and not is_of_this_project(connection, state):
            raise CommandError(
                f"Nothing was deleted: {_differences.describe_database()} lacks tables of this"
                " project. If no other project uses it, drop it, and run: flask db prepare"
            )
    if not is_lost:
        try:
            command.downgrade(configs[0], "base")
        except Exception as error:  # of any kind: revisions are code
            log.warning("The downgrade failed, so the project's tables are dropped: %s", error)
    if is_ours:
        with _environment.connect() as connection:
            _drop_tables(connection, state, with_models=is_lost)
    command.upgrade(configs[1], "heads")


def is_of_this_project(connection: Connection, state: State) -> bool:
    """Return whether all tables that revisions make are there, with most of their columns."""
    inspector, made = inspect(connection), _revisions.made_tables(state.directory)
    expected = [it for it in state.tables if it.key in made]
    for it in expected:
        is_there = inspector.has_table(it.name, it.schema)
        columns = inspector.get_columns(it.name, it.schema) if is_there else []
        if 2 * len({column["name"] for column in columns} & set(it.c.keys())) <= len(it.c):
            return False
    return bool(expected)


def _drop_tables(connection: Connection, state: State, *, with_models: bool) -> None:
    """Drop what is left of this project. Tables of others stay, and may not refer to it."""
    keys = _revisions.made_tables(state.directory) | {_mysql_resume.TABLE}
    keys |= {it.key for it in state.tables if with_models}
    inspector, metadata = inspect(connection), MetaData()
    for schema in {key.rpartition(".")[0] or None for key in keys}:
        if schema and not inspector.has_schema(schema):
            continue
        names = set(inspector.get_table_names(schema))
        ours = {name for name in names if f"{schema}.{name}".removeprefix("None.") in keys}
        ours |= {name for name in names if name.startswith("_alembic_tmp_")}
        for name in names - ours:
            for key in inspector.get_foreign_keys(name, schema):
                if key["referred_table"] in ours and key["referred_schema"] == schema:
                    raise CommandError(
                        f"No revision makes table {name}, which refers to {key['referred_table']}."
                        f" If {name} is from a deleted revision, drop it, and run: flask db reset"
                    )
        metadata.reflect(connection, schema, only=sorted(ours))
        tables = [it for it in metadata.tables.values() if it.schema == schema and it.name in ours]
        metadata.drop_all(connection, tables)
    name = state.version_table.get("version_table", "alembic_version")
    connection.execute(delete(table(name, schema=state.version_table.get("version_table_schema"))))
    connection.commit()
