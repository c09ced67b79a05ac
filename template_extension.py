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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cookiecutter.prompt import read_user_variable
from jinja2 import Environment
from jinja2.ext import Extension

import answers
import cookiecutter_folders
import database_uri
import filters
import machine

PROJECT_FOLDER = "{{cookiecutter.project_slug}}"


class TemplateExtension(Extension):
    """Cookiecutter makes one for the questions, one for the files, and one for each hook."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # An update by cruft renders two versions of the template in one process. A release that
        # renames one of these modules has to rename this one, too.
        for module in (database_uri, cookiecutter_folders, machine, answers, filters):
            importlib.reload(module)
        is_written = os.environ.pop(filters.FULL_DATABASE_URI, None)  # the pre_gen hook has read it
        if not is_written:
            cookiecutter_folders.check_writable()
        cookiecutter_folders.clean_record()
        environment.filters.update(
            filters.FILTERS, start_questions=self.start_questions, check=self.check
        )
        self.asks_questions = False
        self.sources: list[str] = []  # of what was rendered since the last question
        options = cookiecutter_folders.get_options()
        self.is_dialog = bool(options) and not options["no_input"]
        template = Path(filters.__file__).parent
        self.questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
        hooks = [path.read_text(encoding="utf-8") for path in template.glob("hooks/*.py")]
        self.own_sources = [PROJECT_FOLDER, *self.questions.values(), *hooks]

    def start_questions(self, context: object) -> str:
        """Prepare for answers; the first private variable calls this."""
        self.asks_questions = True
        self.sources.clear()
        if self.is_dialog:
            for missing in machine.find_missing():
                print(f"Note: {missing}", file=sys.stderr)
        if cookiecutter_folders.get_options() and isinstance(sys.stdin, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):  # it has been read from
                # Bytes that are not UTF-8 become invisible characters, which no answer may have.
                sys.stdin.reconfigure(errors="surrogateescape")
        return ""

    def check(self, context: dict[str, Any], question: str) -> str:
        """Check an answer; the private variable below a question calls this.

        Raises:
            Refusal: The answer can't be used, and nobody is asked for another one.
        """
        *sources, _ = self.sources  # the last one is that of the private variable
        offered = [self.render(source, context) for source in sources]
        answer = context.get(question)
        # A program that calls cookiecutter doesn't tell us whether it asks somebody.
        self.is_dialog |= isinstance(answer, str) and answer not in offered
        value = self.ask_until_valid(context, question, offered)
        self.sources.clear()
        return value

    def ask_until_valid(
        self, context: dict[str, Any], question: str, offered: Sequence[str] = ()
    ) -> str:
        answer = context.get(question)
        while True:
            try:
                value = self.check_once(context, question)
            except answers.Refusal as refusal:
                if not self.is_dialog:
                    raise
                print(refusal, file=sys.stderr)
                for other in refusal.questions:
                    answer = self.ask(context, other, offered)
                    if other != question:
                        self.ask_until_valid(context, other)
                continue
            for note in answers.notes_on(question, answer, value or context.get(question, "")):
                print(f"Note: {note}", file=sys.stderr)
            return value

    def check_once(self, context: dict[str, Any], question: str) -> str:
        value = answers.check(context, question)
        if question == "project_slug" and question in context:
            folder = cookiecutter_folders.find_existing(context[question])
            if folder:
                raise answers.Refusal(f"{question}: {folder} already exists.", question)
        return value

    def ask(self, context: dict[str, Any], question: str, offered: Sequence[str]) -> str:
        """Ask a question as cookiecutter does, and return the answer."""
        prompts = self.questions["__prompts__"]
        own = self.render(self.questions[question], context)
        numbered = [f"{context[question]}_{number}" for number in range(2, 100)]
        for default in (*offered, own, *numbered):  # the last ones are for a folder that exists
            with contextlib.suppress(answers.Refusal):
                self.check_once({**context, question: default}, question)
                break
        prefix = f"  [dim][{list(prompts).index(question) + 1}/{len(prompts)}][/] "
        answer: str = read_user_variable(question, default, prompts, prefix)
        context[question] = answer
        return answer

    def render(self, source: str, context: dict[str, Any]) -> str:
        text: str = self.environment.from_string(source).render(cookiecutter=context)
        return text

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
        self.sources.append(source)
        return source if is_file or is_own else f"{{{{ {source!a} }}}}"
