"""The application factory: what the application consists of, from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask
{%- if "pages" in cookiecutter.interface %}
from flask_wtf import CSRFProtect
{%- endif %}

from . import (
{%- if cookiecutter.accounts == "yes" %}
    accounts,
{%- endif %}
{%- if "api" in cookiecutter.interface %}
    api,
{%- endif %}
    database,
    errors,
    health,
{%- if "pages" in cookiecutter.interface %}
    home,
{%- endif %}
    logs,
    security,
)
from .config import PROJECT_ROOT, load_config
{%- if "api" in cookiecutter.interface %}
from .notes.api import blueprint as notes_api
{%- endif %}
{%- if "pages" in cookiecutter.interface %}
from .notes.pages import blueprint as notes_pages
{%- endif %}
from .seeds import seed


def create_app(test_config: Mapping[str, object] | None = None) -> Flask:
    """Create the application, with the settings of the environment unless a test gives its own.

    Raises:
        ConfigurationError: Settings are missing or can't be used.
    """
    app = Flask(__name__, instance_path=str(PROJECT_ROOT / "instance"))
    app.config.from_mapping(test_config or load_config())

    logs.init_app(app)
    security.init_app(app)
    database.init_app(app)
    database.migrate.init_app(app, database.db, seed=seed)
    app.register_blueprint(health.blueprint)
{%- if "pages" in cookiecutter.interface %}

    CSRFProtect(app)
{%- if cookiecutter.accounts == "yes" %}
    accounts.init_app(app)
{%- endif %}
    app.register_blueprint(home.blueprint)
    app.register_blueprint(notes_pages)
{%- endif %}
{%- if "api" in cookiecutter.interface %}

    api.init_app(app)
    api.register(app, notes_api)
{%- endif %}

    errors.init_app(app)  # last, in place of the handlers of extensions
    return app
