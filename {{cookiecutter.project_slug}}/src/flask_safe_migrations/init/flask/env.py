"""Alembic runs this file for each `flask db` command. The extension does the work."""

from flask_safe_migrations import run_environment

run_environment()
