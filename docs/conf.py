"""Configures the documentation site: `uv run sphinx-build -W --keep-going docs docs/_build`.

https://www.sphinx-doc.org/en/master/usage/configuration.html
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter
from sphinx.application import Sphinx

TEMPLATE = Path(__file__).parents[1]
GALLERY = Path(__file__).parent / "gallery.md"
LANGUAGES = {
    ".css": "css",
    ".html": "html+jinja",
    ".ini": "ini",
    ".mako": "mako",
    ".md": "markdown",
    ".py": "python",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
}
# Copies of libraries, and what nobody reads.
LEFT_OUT = (
    "src/flask_generate/",
    "src/flask_safe_migrations/",
    "/static/pico/",
    "/static/rapidoc/",
    ".svg",
    "LICENSE",
    "uv.lock",
)
INTRODUCTION = """# A generated project

You want to read the code before you run anything. These are the files of a project with the default answers, as the
command has just made them. Start with `src/my_app/__init__.py`. Not shown: the license, `uv.lock`, the copies of
Pico CSS, RapiDoc, [the extension](extension.md) and [the generator](generator.md).
"""

project = "cookiecutter-flask-migrate"
author = "the contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
html_theme = "furo"
html_title = project


def setup(app: Sphinx) -> None:
    """Write the page that shows a generated project before the pages are read."""
    app.connect("builder-inited", write_gallery)


def write_gallery(app: Sphinx) -> None:
    """Make a project with the default answers, and write its files to a page."""
    lines = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder))
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True)
        for name in sorted(names.stdout.splitlines()):
            text = (made / name).read_text(encoding="utf-8")
            if text.strip() and not any(part in name for part in LEFT_OUT):
                language = LANGUAGES.get(Path(name).suffix, "text")
                lines += [f"## `{name}`", "", f"`````{language}", text.rstrip(), "`````", ""]
    GALLERY.write_text("\n".join(lines), encoding="utf-8")
