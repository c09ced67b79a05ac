"""Recognizes the `env.py` that Flask-Migrate has written, in place of which ours runs."""

import ast
import re
from hashlib import sha256
from pathlib import Path

import flask_migrate

OWN_ENV = Path(__file__).parent / "init" / "flask" / "env.py"
STOCK_ENV = Path(flask_migrate.__file__).parent / "templates" / "flask" / "env.py"
# What the releases 0.1 to 4.1 of Flask-Migrate have written, as `_normalize` returns it.
STOCK_ENVS = """
    e7797fd21d4e0f8e b9bf5e4cbbda1d07 8765a382617d9924 cdd6b512b239bff0 4a3a2337b288b3d5
    044b7cc2c8e40589 bfda35e53239b192 0cb4f19e7f4d84a8 2af257cd0e62b874 0046547e7a08ed37
    d135567c24cdbc87 af1f3b28b80f23fc c46551573238d4b6 c1d204b763db2b3e 003d3c7d49894776
""".split()
# Of projects that were made before the extension was a package of its own.
FORMER_ENV = re.compile(r"from \w+\.database(\.migration)? import environment\s+environment\.run")


def has_stock_environment(directory: Path) -> bool:
    """Whether `env.py` is as Flask-Migrate, or a former release of ours, has written it."""
    text = read_environment(directory)
    known = (*STOCK_ENVS, _normalize(STOCK_ENV.read_text(encoding="utf-8")))
    return _normalize(text) in known or bool(FORMER_ENV.search(text))


def read_environment(directory: Path) -> str:
    """Return the text of `env.py`, or of ours before `flask db init`."""
    path = directory / "env.py"
    return (path if path.exists() else OWN_ENV).read_text(encoding="utf-8")


def _normalize(text: str) -> str:
    """Return a digest that formatters and sorters of imports do not change."""
    lines = [line.strip() for line in ast.unparse(ast.parse(text)).splitlines()]
    return sha256("\n".join(sorted(filter(None, lines))).encode()).hexdigest()[:16]
