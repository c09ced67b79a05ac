"""The application factory."""

from flask import Flask

{% if cookiecutter.interface == "api" -%}
from . import api, database, errors, health, logs, security
{%- elif cookiecutter.interface == "pages+api" and cookiecutter.accounts == "yes" -%}
from . import accounts, api, database, errors, health, logs, pages, security
{%- elif cookiecutter.interface == "pages+api" -%}
from . import api, database, errors, health, logs, pages, security
{%- elif cookiecutter.accounts == "yes" -%}
from . import accounts, database, errors, health, logs, pages, security
{%- else -%}
from . import database, errors, health, logs, pages, security
{%- endif %}
from .config import PROJECT_ROOT, load_config
{%- if "api" in cookiecutter.interface %}
from .notes.api import blueprint as notes_api
{%- endif %}
{%- if "pages" in cookiecutter.interface %}
from .notes.pages import blueprint as notes_pages
{%- endif %}
from .seeds import seed


def create_app(test_config: object | None = None) -> Flask:
    """Create the application. Tests pass settings; otherwise they are read from the environment."""
    app = Flask(__name__, instance_path=str(PROJECT_ROOT / "instance"))
    app.config.from_object(test_config or load_config())

    logs.init_app(app)  # first, so that its after_request runs last
    security.init_app(app)
    database.init_app(app)
    database.migrate.init_app(app, database.db, seed=seed)  # here, because seeds.py imports db
    app.register_blueprint(health.blueprint)
{%- if "pages" in cookiecutter.interface %}

    pages.init_app(app)
{%- if cookiecutter.accounts == "yes" %}
    accounts.init_app(app)
    accounts.require_login(app, notes_pages)
{%- endif %}
    app.register_blueprint(notes_pages)
{%- endif %}
{%- if "api" in cookiecutter.interface %}

    api.Api(app)
    app.extensions["api"].register_blueprint(notes_api)
{%- endif %}

    errors.init_app(app)  # last: extensions register error handlers of their own
    return app
