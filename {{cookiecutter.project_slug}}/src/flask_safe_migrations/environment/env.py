"""Alembic runs this file in place of an `env.py` as Flask-Migrate makes it."""

from flask_safe_migrations import run_environment

run_environment()
