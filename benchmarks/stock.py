"""The project with Flask-Migrate in place of the extension, whose migrations are measured beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask_migrate
import my_app
from my_app.database import db

if TYPE_CHECKING:
    from flask import Flask


def create_app() -> Flask:
    """Make the project's application; Flask-Migrate replaces the extension, which runs no stock env.py."""
    app = my_app.create_app()
    flask_migrate.Migrate(app, db)
    return app
