"""Safe migrations for Flask: a drop-in for Flask-Migrate, on SQLite, PostgreSQL, MySQL and MariaDB."""

from ._checks import name_check
from ._differences import find_problem
from ._environment import run_environment
from ._extension import SafeMigrate
from ._lock import MigrationLocked
from ._prepare import prepare
from ._readiness import Readiness, check_readiness
from ._revisions import current_revisions, pending_revisions, unknown_tables
from ._server import (
    DatabaseUnavailable,
    check_database,
    create_database,
    describe_database,
    drop_database,
    is_in_memory,
)

__all__ = [
    "DatabaseUnavailable",
    "MigrationLocked",
    "Readiness",
    "SafeMigrate",
    "check_database",
    "check_readiness",
    "create_database",
    "current_revisions",
    "describe_database",
    "drop_database",
    "find_problem",
    "is_in_memory",
    "name_check",
    "pending_revisions",
    "prepare",
    "run_environment",
    "unknown_tables",
]
