"""Draws the tables of the models in docs/schema.md."""

from __future__ import annotations

import logging
from pathlib import Path

from flask import current_app

from . import GeneratorError
from ._project import Project

PLACE = Path("docs", "schema.md")
PAGE = """# Schema

`uv run flask db diagram` has drawn the tables of the models.

```mermaid
{}
```
"""


def write() -> str:
    """Write the file, and return what to print."""
    project = Project(current_app)
    path = project.root / PLACE
    path.parent.mkdir(exist_ok=True)
    path.write_text(_draw(project), encoding="utf-8")
    return f"Wrote {PLACE.as_posix()}"


def check() -> str:
    """Return what to print, or raise GeneratorError if the file is not what would be written."""
    project = Project(current_app)
    path = project.root / PLACE
    if not path.exists():
        return f"There is no {PLACE.as_posix()}."
    if path.read_text(encoding="utf-8") != _draw(project):
        raise GeneratorError(f"{PLACE.as_posix()} is out of date. Run: flask db diagram")
    return f"{PLACE.as_posix()} is up to date."


def _draw(project: Project) -> str:
    """Return the text of the file. The library has the diagram in a comment, beside a link."""
    logging.disable()  # it logs that it can't draw pictures
    from eralchemy import render_er

    logging.disable(logging.NOTSET)
    text = render_er(project.base.metadata, None, mode="mermaid_er").decode()
    diagram = text.partition("<!--")[2].partition("-->")[0].strip() + "\n"
    tables, end, relations = diagram.rpartition("}\n")
    # The library takes the relations from a set, each time in another order.
    lines = [*(tables + end).splitlines(), *sorted(relations.splitlines())]
    return PAGE.format("\n".join(line.rstrip() for line in lines))
