"""Alembic runs this file for each `flask db` command; what it does is in the package."""

from {{ cookiecutter.project_slug }}.database.migration import environment

environment.run()
