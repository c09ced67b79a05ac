"""Answers are checked as they are given, and written so that they can't become code."""

from __future__ import annotations

import ast
import json
import os
import tomllib
from pathlib import Path

import pytest
from conftest import TEMPLATE
from cookiecutter.utils import create_env_with_context

import answers
import filters

pytestmark = pytest.mark.quick

QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))

GOOD = {
    "project_name": "My App",
    "project_slug": "my_app",
    "description": "What it does.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
    "database_uri": "sqlite:///my_app.db",
    "interface": "pages+api",
    "ci": "github",
    "license": "MIT",
    "set_up_now": "yes",
}
HARMLESS = [
    "plain",
    "it's",
    'say "hi"',
    """both ' and " and "again\"""",
    "back\\slash\\",
    "Été 日本 🎉",
    "{{ 7 * 7 }} {% raw %} ${HOME} `id` $(id) %s",
]


@pytest.mark.parametrize("question", GOOD)
def test_good_answers_are_accepted(question: str) -> None:
    value = "yes" if question == "set_up_now" else ""
    assert answers.check(GOOD.copy(), question) == value


@pytest.mark.parametrize(
    ("answer", "value"),
    [("yes", "yes"), (True, "yes"), ("n", "no"), (False, "no"), ("done", "done")],
)
def test_each_answer_to_set_up_now_is_recorded_as_done(answer: object, value: str) -> None:
    context = GOOD | {"set_up_now": answer}

    assert answers.check(context, "set_up_now") == value
    assert context["set_up_now"] == "done"


@pytest.mark.parametrize(
    ("question", "answer", "says"),
    [
        ("project_name", "class", "'class', which belongs to Python itself"),
        ("project_name", "2048 game", "start with a letter"),
        ("project_name", "🎉", "start with a letter"),
        ("project_name", "flask", "needed by the project itself"),
        ("project_name", "flask safe migrations", "needed by the project itself"),
        ("project_name", "", "is empty"),
        ("project_name", "two\nlines", "on one line"),
        ("project_name", "x" * 201, "too long"),
        ("project_slug", "../x", "start with a letter"),
        ("project_slug", "My_App", "start with a letter"),
        ("project_slug", "été", "start with a letter"),
        ("project_slug", "my_app_", "end with a letter or digit"),
        ("project_slug", "my_app\n", "end with a letter or digit"),
        ("project_slug", "x" * 51, "at most 50 characters"),
        ("project_slug", "none", ""),
        ("project_slug", "json", "belongs to Python itself"),
        ("project_slug", "import", "belongs to Python itself"),
        ("project_slug", "tests", "needed by the project itself"),
        ("project_slug", "bin", "needed by the project itself"),
        ("project_slug", "com1", "needed by the project itself"),
        ("description", True, "is not text"),
        ("description", None, "is not text"),
        ("description", "a\x00b", "invisible character"),
        ("author_name", "  ", "is empty"),
        ("author_email", "you@example", "not an e-mail address"),
        ("author_email", "you@example.com\n", "not an e-mail address"),
        ("database_uri", "my_app.db", "sqlite:///"),
        ("set_up_now", "perhaps", "neither yes nor no"),
        ("interface", "page", "not one of pages+api, pages, api"),
        ("ci", "travis", "not one of github, gitlab, none"),
        ("license", "GPL", "not one of MIT, BSD-3-Clause, Apache-2.0, none"),
    ],
)
def test_bad_answers_are_refused_in_one_line(question: str, answer: object, says: str) -> None:
    if not says:
        assert answers.check(GOOD | {question: answer}, question) == ""
        return
    with pytest.raises(SystemExit) as refusal:
        answers.check(GOOD | {question: answer}, question)

    message = str(refusal.value)
    assert says in message
    assert message.startswith(f"Error: {question}")
    assert message.isprintable()


def test_a_long_answer_is_not_repeated_in_full() -> None:
    with pytest.raises(SystemExit) as refusal:
        answers.check(GOOD | {"description": "x" * 5000}, "description")

    assert len(str(refusal.value)) < 200


def test_answers_of_a_replay_are_refused_and_the_new_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()

    with pytest.raises(SystemExit, match="belongs to Python"):
        filters.check_all(GOOD | {"project_slug": "class", "_output_dir": str(tmp_path)}, {})

    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "file").touch()

    with pytest.raises(SystemExit):
        filters.check_all(GOOD | {"project_slug": "class", "_output_dir": str(tmp_path)}, {})

    assert (tmp_path / "class" / "file").exists()


@pytest.mark.usefixtures("restored_environment")
def test_of_two_that_have_made_the_same_folder_one_is_refused(tmp_path: Path) -> None:
    context = GOOD | {"accounts": "no", "_output_dir": str(tmp_path)}
    (tmp_path / "my_app").mkdir()
    filters.check_all(context, {})

    with pytest.raises(SystemExit, match="another cookiecutter is writing"):
        filters.check_all(context, {})

    assert [path.name for path in (tmp_path / "my_app").iterdir()] == [".being_written"]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_text_is_the_same_after_python_has_read_it(text: str) -> None:
    assert ast.literal_eval(filters.write_python(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_a_text_is_the_same_after_toml_has_been_read(text: str) -> None:
    assert tomllib.loads(f'x = "{filters.write_toml(text)}"') == {"x": text}


def test_the_case_of_a_choice_does_not_matter() -> None:
    context = {"interface": "API", "ci": "GitLab", "license": "apache-2.0"}

    for question in context:
        answers.check(context, question)

    assert context == {"interface": "api", "ci": "gitlab", "license": "Apache-2.0"}


@pytest.mark.parametrize(
    ("question", "answer", "taken"),
    [
        ("interface", "both", "pages+api"),
        ("interface", "Pages and API", "pages+api"),
        ("interface", " REST ", "api"),
        ("accounts", "y", "yes"),
        ("accounts", "False", "no"),
        ("ci", "GitHub Actions", "github"),
        ("ci", "GitLab CI/CD", "gitlab"),
        ("ci", "no", "none"),
        ("license", "BSD", "BSD-3-Clause"),
        ("license", "Apache License 2.0", "Apache-2.0"),
        ("license", "mit license", "MIT"),
        ("license", "proprietary", "none"),
        ("database_uri", "postgres", "postgresql+psycopg://postgres@localhost/my_app"),
        ("database_uri", "postgres://me:hidden@h/d", "postgresql+psycopg://me@h/d"),
    ],
)
def test_other_words_for_an_answer_are_understood_and_shown(
    question: str, answer: str, taken: str
) -> None:
    context = GOOD | {question: answer}

    answers.check(context, question)

    assert context[question] == taken
    assert [*answers.notes_on(question, answer, context[question])] == [f"{question} is {taken}."]


@pytest.mark.parametrize(
    ("question", "answer"),
    [*GOOD.items(), ("interface", "API"), ("database_uri", "PostgreSQL://h/d")],
)
def test_an_answer_that_is_taken_as_it_is_needs_no_note(question: str, answer: str) -> None:
    context = GOOD | {question: answer}
    value = answers.check(context, question)

    assert not [*answers.notes_on(question, answer, value or context[question])]


@pytest.mark.parametrize("question", GOOD)
def test_spaces_around_an_answer_are_left_out(question: str) -> None:
    plain, spaced = GOOD.copy(), GOOD | {question: f" {GOOD[question]}  "}

    assert answers.check(plain, question) == answers.check(spaced, question)
    assert plain == spaced


@pytest.fixture
def restored_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(filters.FULL_DATABASE_URI, "")


ADDRESS = "postgresql://me:S3cret@localhost/shop"


def test_the_password_goes_along_with_the_answer_that_is_recorded() -> None:
    context = GOOD | {"database_uri": ADDRESS}

    for _ in range(2):  # when it is given, and when the project's folder is made
        answers.check(context, "database_uri")

    assert json.dumps(context["database_uri"]) == '"postgresql+psycopg://me@localhost/shop"'
    assert getattr(context["database_uri"], "full") == ADDRESS.replace("://", "+psycopg://")  # noqa: B009


@pytest.mark.usefixtures("restored_environment")
def test_the_hook_alone_finds_the_password_in_its_environment() -> None:
    filters.check_all(GOOD | {"accounts": "no", "database_uri": ADDRESS}, {})
    assert "S3cret" in os.environ[filters.FULL_DATABASE_URI]

    create_env_with_context({"cookiecutter": QUESTIONS})  # for the next hook

    assert filters.FULL_DATABASE_URI not in os.environ


def render(source: str, *, asks_questions: bool = True) -> str:
    """Have Jinja render a text as cookiecutter does with an answer that was not typed."""
    environment = create_env_with_context({"cookiecutter": QUESTIONS})
    if asks_questions:
        environment.from_string(QUESTIONS["__answers"]).render(cookiecutter={})
    text: str = environment.from_string(source).render(cookiecutter={"project_slug": "my_app"})
    return text


@pytest.mark.parametrize("asks_questions", [True, False])
@pytest.mark.parametrize("text", [*HARMLESS, "{{ cycler.__init__.__globals__ }}"])
def test_an_answer_is_not_run_as_a_template(text: str, asks_questions: bool) -> None:
    assert render(text, asks_questions=asks_questions) == text


def test_the_sources_of_the_template_are_run() -> None:
    assert render(QUESTIONS["database_uri"]) == "sqlite:///my_app.db"
    assert render("{{cookiecutter.project_slug}}", asks_questions=False) == "my_app"
    assert render("{{cookiecutter.project_slug}}") == "{{cookiecutter.project_slug}}"
