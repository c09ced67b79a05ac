"""The application, as a server such as gunicorn imports it."""

import sys

from . import create_app
from .config import ConfigurationError

GUNICORN_GIVES_UP = 3  # with another exit code, it starts its workers again and again

try:
    app = create_app()
except ConfigurationError as error:
    print(f"Error: {error.message}", file=sys.stderr)
    sys.exit(GUNICORN_GIVES_UP)
