"""Finds models that nothing imports: no revision would hold them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from flask import current_app

BASES = {"db.Model", "Model", "Base"}


def find_unimported_models() -> Iterator[Path]:
    """Yield the files of the application's package that hold a model and are not imported."""
    root = Path(current_app.root_path)
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    if str(root / "__init__.py") in imported:  # beside a single module may be anything
        yield from (
            path
            for path in sorted(root.rglob("*.py"))
            if str(path) not in imported and _has_model(path)
        )


def _has_model(path: Path) -> bool:
    try:
        nodes = ast.walk(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError):
        return False
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return any(ast.unparse(base) in BASES for node in classes for base in node.bases)
