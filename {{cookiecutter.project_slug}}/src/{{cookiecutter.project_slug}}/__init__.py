"""The application factory: what the application consists of, from top to bottom."""

from flask import Flask

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
    logs,
{%- if "pages" in cookiecutter.interface %}
    pages,
{%- endif %}
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


def create_app(test_config: object | None = None) -> Flask:
    """Create the application, with the settings of the environment unless a test gives its own.

    Raises:
        ConfigurationError: Settings are missing or can't be used.
    """
    app = Flask(__name__, instance_path=str(PROJECT_ROOT / "instance"))
    app.config.from_object(test_config or load_config())

    logs.init_app(app)
    security.init_app(app)
    database.init_app(app)
    database.migrate.init_app(app, database.db, seed=seed)
    app.register_blueprint(health.blueprint)
    renderers: dict[str, errors.Renderer] = {}
{%- if "pages" in cookiecutter.interface %}

    pages.init_app(app)
    renderers["/"] = pages.render_error
{%- if cookiecutter.accounts == "yes" %}
    accounts.init_app(app)
    accounts.require_login(app, notes_pages)
{%- endif %}
    app.register_blueprint(notes_pages)
{%- endif %}
{%- if "api" in cookiecutter.interface %}

    api.init_app(app)
    api.register(app, notes_api)
    renderers["/api/"] = api.make_problem
{%- endif %}

    errors.init_app(app, renderers)  # last, in place of the handlers of extensions
    return app
