"""The Jinja extension that cookiecutter.json names: adds our filters, and keeps answers from being run.

https://cookiecutter.readthedocs.io/en/stable/advanced/local_extensions.html
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import Extension

import answers
import cookiecutter_folders
import database_uri
import filters

PROJECT_FOLDER = "{{cookiecutter.project_slug}}"


class TemplateExtension(Extension):
    """Cookiecutter makes one for the questions, one for the files, and one for each hook."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # An update by cruft renders two versions of the template in one process. A release that
        # renames one of these modules has to rename this one, too.
        for module in (database_uri, cookiecutter_folders, answers, filters):
            importlib.reload(module)
        is_written = os.environ.pop(filters.FULL_DATABASE_URI, None)  # the pre_gen hook has read it
        if not is_written:
            cookiecutter_folders.check_writable()
        cookiecutter_folders.remove_recorded_password()
        environment.filters.update(filters.FILTERS, start_questions=self.start_questions)
        self.asks_questions = False
        template = Path(filters.__file__).parent
        questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
        hooks = [path.read_text(encoding="utf-8") for path in template.glob("hooks/*.py")]
        self.own_sources = [PROJECT_FOLDER, *questions.values(), *hooks]

    def start_questions(self, context: object) -> str:
        """Prepare for answers; the first private variable calls this."""
        self.asks_questions = True
        if cookiecutter_folders.get_options() and isinstance(sys.stdin, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):  # it has been read from
                # Bytes that are not UTF-8 become invisible characters, which no answer may have.
                sys.stdin.reconfigure(errors="surrogateescape")
        return ""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return a source that Jinja runs; of an answer, one that gives the answer itself.

        Cookiecutter runs answers that are not typed, those of cruft's updates included: this is the
        one place where it can be kept from that.
        https://jinja.palletsprojects.com/en/stable/extensions/#jinja2.ext.Extension.preprocess
        """
        is_file = name is not None or self.environment.loader is not None
        is_own = source in self.own_sources and not (
            source == PROJECT_FOLDER and self.asks_questions
        )
        return source if is_file or is_own else f"{{{{ {source!a} }}}}"
