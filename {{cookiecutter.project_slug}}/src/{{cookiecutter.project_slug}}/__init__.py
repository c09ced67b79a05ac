"""The application factory: what the application consists of, from top to bottom."""

from __future__ import annotations

from flask import Flask
{%- if "pages" in cookiecutter.interface %}
from flask_wtf import CSRFProtect
{%- endif %}

from . import
{%- if cookiecutter.accounts == "yes" %} accounts,{% endif %}
{%- if "api" in cookiecutter.interface %} api,{% endif %} database, errors, health,
{%- if "pages" in cookiecutter.interface %} home,{% endif %} logs, overload, security
from .config import INSTANCE_PATH, Settings
from .database import db, migrate
{%- if "api" in cookiecutter.interface %}
from .notes.api import blueprint as notes_api
{%- endif %}
{%- if "pages" in cookiecutter.interface %}
from .notes.pages import blueprint as notes_pages
{%- endif %}
from .seeds import seed
{% if "pages" in cookiecutter.interface %}
csrf = CSRFProtect()
{% endif %}

def create_app(settings: Settings | None = None) -> Flask:
    """Make the application, with the settings of the environment unless others are given.

    Raises:
        ConfigurationError: a setting is missing or has a value that can't be used.
    """
    app = Flask(__name__, instance_path=str(INSTANCE_PATH))
    app.config.from_object(settings or Settings.from_environment())

    logs.init_app(app)
{%- if "api" in cookiecutter.interface %}
    api.init_app(app)  # before what changes its errors and headers
{%- endif %}
    security.init_app(app)
    errors.init_app(app)
    database.init_app(app)
    migrate.init_app(app, db, seed=seed)
    app.register_blueprint(health.blueprint)
{%- if "pages" in cookiecutter.interface %}
    csrf.init_app(app)
{%- endif %}
{%- if "api" in cookiecutter.interface %}
    api.register(app, notes_api)
{%- endif %}
{%- if "pages" in cookiecutter.interface %}
{%- if cookiecutter.accounts == "yes" %}
    accounts.init_app(app)
{%- endif %}
    app.register_blueprint(home.blueprint)
    app.register_blueprint(notes_pages)
{%- endif %}
    return app
