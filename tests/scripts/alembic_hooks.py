"""Has Alembic's own tests use the classes and comparisons of the extension, as a plugin of pytest."""

from typing import Any

import flask_safe_migrations._environment  # noqa: F401  # which registers them
from flask_safe_migrations._sqlite import SQLite
from sqlalchemy import Connection


class SafeSQLite(SQLite):
    """Acts as in the extension's environment, which sets this option."""

    __dialect__ = "sqlite"

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if isinstance(self.connection, Connection):  # some tests have a mock
            self.context_opts = {"sqlite_copies": []} | self.context_opts
