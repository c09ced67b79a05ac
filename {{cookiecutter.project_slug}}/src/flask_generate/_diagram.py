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


def write(*, check: bool) -> str:
    """Write the file, or check that it is what would be written. Return what to print."""
    project = Project(current_app)
    path, shown = project.root / PLACE, PLACE.as_posix()
    if check:
        if path.exists() and path.read_text(encoding="utf-8") != _draw(project):
            raise GeneratorError(f"{shown} is out of date. Run: flask db diagram")
        return "Nothing is out of date."
    path.parent.mkdir(exist_ok=True)
    path.write_text(_draw(project), encoding="utf-8")
    return f"Wrote {shown}"


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
