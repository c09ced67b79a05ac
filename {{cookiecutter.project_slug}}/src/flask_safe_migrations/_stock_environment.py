"""Recognizes the `env.py` that Flask-Migrate has written, in place of which ours runs."""

from __future__ import annotations

import ast
import re
from hashlib import sha256
from pathlib import Path

import flask_migrate

STOCK_ENV = Path(flask_migrate.__file__).parent / "templates" / "flask" / "env.py"
# What releases of Flask-Migrate have written, as `_normalize` has it; the first digits of its SHA-256.
STOCK_ENVS = {
    "e7797fd21d4e0f8e",  # 0.1 to 1.0
    "b9bf5e4cbbda1d07",  # 1.1 to 1.3
    "8765a382617d9924",  # 1.4 and 1.5.0
    "cdd6b512b239bff0",  # 1.5.1 to 2.3.0
    "4a3a2337b288b3d5",  # 2.3.1
    "044b7cc2c8e40589",  # 2.4
    "bfda35e53239b192",  # 2.5.0 to 2.5.2
    "0cb4f19e7f4d84a8",  # 2.5.3 and 2.6
    "2af257cd0e62b874",  # 2.7 and 3.0.0
    "0046547e7a08ed37",  # 3.0.1 and 3.1
    "d135567c24cdbc87",  # 4.0.0
    "af1f3b28b80f23fc",  # 4.0.1 and 4.0.2
    "c46551573238d4b6",  # 4.0.3
    "c1d204b763db2b3e",  # 4.0.4
    "003d3c7d49894776",  # 4.0.5 to 4.1
}
# Of projects that were made before the extension was a package of its own.
FORMER_ENV = re.compile(
    r"from \w+\.database(\.migration)? import environment\s+environment\.run\(\)"
)


def has_stock_environment(directory: Path) -> bool:
    """Whether `env.py` is as Flask-Migrate, or a former release of ours, has written it."""
    text = _read_environment(directory)
    digest = _normalize(text)
    return (
        digest in STOCK_ENVS
        or digest == _normalize(STOCK_ENV.read_text(encoding="utf-8"))
        or bool(FORMER_ENV.search(text))
    )


def is_foreign_environment(directory: Path) -> bool:
    """Whether `env.py` is somebody's own, and does without the extension."""
    text = _read_environment(directory)
    return bool(text) and "run_environment" not in text


def _read_environment(directory: Path) -> str:
    """Return the text of `env.py`, which is empty before `flask db init`."""
    path = directory / "env.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _normalize(text: str) -> str:
    """Return a digest that formatters and sorters of imports do not change."""
    lines = [line.strip() for line in ast.unparse(ast.parse(text)).splitlines()]
    return sha256("\n".join(sorted(filter(None, lines))).encode()).hexdigest()[:16]
