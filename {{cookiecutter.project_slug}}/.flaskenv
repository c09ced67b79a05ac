# Settings of the flask command, in development and in production. Secrets belong in .env.
FLASK_APP={{ cookiecutter.project_slug }}
