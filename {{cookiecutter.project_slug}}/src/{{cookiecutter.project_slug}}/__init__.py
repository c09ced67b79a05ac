"""The application factory: what the application consists of, from top to bottom."""

from __future__ import annotations

from flask import Flask
from flask_wtf import CSRFProtect

from . import database, health, home, notes, pending
from .config import INSTANCE_PATH, Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application, with the settings of the environment unless others are given.

    Raises:
        ConfigurationError: a setting is missing or has a value that can't be used.
    """
    app = Flask(__name__, instance_path=str(INSTANCE_PATH))
    app.config.from_object(settings or Settings.from_environment())

    database.init_app(app)
    CSRFProtect(app)

    if app.debug:
        app.register_blueprint(pending.blueprint)
    app.register_blueprint(home.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(notes.blueprint)
    return app
