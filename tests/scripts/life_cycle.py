"""In a project: its revisions up, down and up again, on the database that the environment names."""

from __future__ import annotations

import flask_migrate
from my_app import create_app

with create_app().app_context():
    flask_migrate.upgrade()
    flask_migrate.check()
    flask_migrate.downgrade(revision="base")
    flask_migrate.upgrade()
    flask_migrate.check()
