"""Safe migrations for Flask: a drop-in for Flask-Migrate, on SQLite, PostgreSQL, MySQL and MariaDB."""

from ._checks import name_check as name_check
from ._differences import find_problem as find_problem
from ._environment import run_environment as run_environment
from ._extension import SafeMigrate as SafeMigrate
from ._lock import MigrationLocked as MigrationLocked
from ._prepare import prepare as prepare
from ._readiness import Readiness as Readiness
from ._readiness import check_readiness as check_readiness
from ._revisions import current_revisions as current_revisions
from ._revisions import pending_revisions as pending_revisions
from ._revisions import unknown_tables as unknown_tables
from ._server import DatabaseUnavailable as DatabaseUnavailable
from ._server import check_database as check_database
from ._server import create_database as create_database
from ._server import describe_database as describe_database
from ._server import drop_database as drop_database
from ._server import is_in_memory as is_in_memory
