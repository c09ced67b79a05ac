"""Refuses answers that were not checked when they were given, as those of `--replay`.

The filter does it while cookiecutter renders this line, for a hook that fails by itself makes
cookiecutter print a traceback.
"""

# {{ cookiecutter | check_all }}
