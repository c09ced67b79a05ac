"""What is answered where a request can't be: what is wrong, in the form of what was asked for."""

from __future__ import annotations

from flask import Flask
{%- if "pages" in cookiecutter.interface %}, render_template{% endif %}
{%- if cookiecutter.interface == "pages+api" %}, request{% endif %}
{%- if "pages" in cookiecutter.interface %}
from werkzeug import Response
{%- endif %}
from werkzeug.exceptions import HTTPException
{%- if "pages" in cookiecutter.interface %}, SecurityError{% endif %}
{%- if "api" in cookiecutter.interface %}

from . import api
{%- endif %}


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, {{ "show" if "pages" in cookiecutter.interface else "api.problem" }})
{%- if "pages" in cookiecutter.interface %}


def show(error: HTTPException) -> Response:
    """Of an error in the application itself, nothing is shown: the log has it."""
{%- if "api" in cookiecutter.interface %}
    if request.path.startswith(f"{api.PREFIX}/"):
        return api.problem(error)
{%- endif %}
    response = error.get_response()
    if not isinstance(error, SecurityError):  # for a host that isn't ours, no page can have links
        response.data = render_template("error.html", error=error)
    return response
{%- endif %}
