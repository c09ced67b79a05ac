"""Holds what the extension knows of each application."""

import hmac
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import current_app
from flask_migrate import Migrate
from sqlalchemy import URL, Engine, MetaData, Table, make_url


@dataclass
class State:
    migrate: Migrate
    seed: Callable[[], object] | None
    form_key: str = field(default_factory=secrets.token_urlsafe)  # where SECRET_KEY is missing
    # One thread that a database may hold up, while the health check answers.
    readiness: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))
    has_warned: bool = False  # of an env.py that does without the extension

    @property
    def directory(self) -> Path:
        return Path(self.migrate.directory)

    @property
    def metadata(self) -> MetaData | Sequence[MetaData]:
        """The tables of all models: `target_metadata` as Alembic calls it, or that of `db`."""
        db: Any = self.migrate.db
        metadata: Any = self.migrate.alembic_ctx_kwargs.get("target_metadata")
        if metadata is None:
            metadata = db.metadatas[None] if hasattr(db, "metadatas") else db.metadata
        return metadata  # type: ignore[no-any-return]

    @property
    def tables(self) -> list[Table]:
        """The tables of all models, sorted by name."""
        found = [self.metadata] if isinstance(self.metadata, MetaData) else self.metadata
        return sorted((it for one in found for it in one.tables.values()), key=lambda it: it.key)

    @property
    def other_binds(self) -> list[str]:
        """The tables of Flask-SQLAlchemy's other databases, unless `target_metadata` was given."""
        is_given = self.migrate.alembic_ctx_kwargs.get("target_metadata") is not None
        found: Any = {} if is_given else getattr(self.migrate.db, "metadatas", {})
        return [f"{table} ({key})" for key, it in found.items() if key for table in it.tables]

    @property
    def version_table(self) -> dict[str, Any]:
        """The options by which Alembic finds its table of revisions."""
        options = self.migrate.alembic_ctx_kwargs
        return {name: options[name] for name in options if name.startswith("version_table")}

    @property
    def engine(self) -> Engine:
        return self.migrate.db.engine  # type: ignore[union-attr]

    @property
    def url(self) -> URL:
        """The address of the database that is migrated."""
        return make_url(current_app.config["MIGRATION_DATABASE_URL"] or self.engine.url)

    @property
    def form_token(self) -> str:
        """What only our page about pending migrations sends, also after the reloader's restart."""
        key = str(current_app.secret_key or self.form_key).encode()
        return hmac.digest(key, b"pending migrations", "sha256").hex()


def get_state() -> State:
    state: State | None = current_app.extensions.get("safe_migrations")
    if state is None:
        raise RuntimeError(
            "This application has no SafeMigrate. Call SafeMigrate(app, db), or"
            " migrate.init_app(app, db), where the application is created."
        )
    return state
