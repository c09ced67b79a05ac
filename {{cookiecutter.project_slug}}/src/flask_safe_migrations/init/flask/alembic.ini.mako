# https://alembic.sqlalchemy.org/en/latest/tutorial.html#editing-the-ini-file
# The database URL is not set here: it is in the application's configuration.

[alembic]
# Files sort in the order in which they were made.
file_template = %%(year)d%%(month).2d%%(day).2d_%%(hour).2d%%(minute).2d%%(second).2d_%%(rev)s_%%(slug)s
timezone = UTC

[post_write_hooks]
hooks = imports, format
imports.type = module
imports.module = ruff
imports.options = check --quiet --select I --fix REVISION_SCRIPT_FILENAME
format.type = module
format.module = ruff
format.options = format --quiet REVISION_SCRIPT_FILENAME
