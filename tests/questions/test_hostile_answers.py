"""Each answer is refused in one line, or stays text in a complete project.

ROUNDS=50 in the environment makes 5,000 cases instead of 300. An ordinary run always has the same ones.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

import cookiecutter.generate
import cookiecutter.hooks
import pexpect
import pytest
import yaml
from binaryornot.check import is_binary
from conftest import QUESTIONS, ROUNDS, TEMPLATE, User, at_the_prompt, text_files
from cookiecutter.main import cookiecutter as make_project
from cookiecutter.utils import create_env_with_context
from dotenv import dotenv_values
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2 import FileSystemBytecodeCache
from reliability import report
from sqlalchemy import make_url

import answers
import database_uri

ORDINARY = 300
CASES = 100 * ROUNDS
# Code that creates a file of this name, if it runs.
CANARY = "canary"
RUN = f"__import__('os').system('touch {CANARY}')"
HARMFUL = [
    "'", '"', "'''", '"""', "`", "\u00b4", "\u2019", "\\", "\\n", "\\'", "\\u0041", "\\N{DASH}", "$", "$$", "${HOME}", "$HOME",
    "%", "%s", "%(x)s", "%00", "%HOME%", "{", "}", "{}", "{0.__class__}", "{{", "}}", "{%", "%}", "{#", "#}",
    "{{ 7 * 7 }}", "{% raw %}", "{% endraw %}", "{{ undefined.name }}", "{{ cookiecutter }}", "${{ github.token }}",
    "{{cookiecutter.project_slug}}", f"{{{{ lipsum.__globals__.os.popen('touch {CANARY}').read() }}}}",
    f"{{{{ cookiecutter.update(x={RUN}) }}}}", f"{{% set x = {RUN} %}}", f"$(touch {CANARY})", f"`touch {CANARY}`",
    f"; touch {CANARY};", f"| touch {CANARY} #", f"&& touch {CANARY}", f"'; {RUN} #", f'" + {RUN} + "',
    f"<%! {RUN} %>", "'; DROP TABLE note; --", '" OR 1=1 --', "<script>alert(1)</script>", "</title>", "&amp;", "<!--",
    "../../etc/passwd", "/etc/passwd", "C:\\Windows", "~", "..", "CON", "#", "# ", ": ", "- ", "? ", "*a", "&a", "!!python/object:os",
    "---", "...", "[", "]", "@", ",", "null", "true", "1e9", "=", "  ", "é", "日本", "🎉", "שלום", "مرحبا",
    "ﬁ", "İ", "\u0301", "x" * 60, "y" * 199,
]  # fmt: skip
INVISIBLE = [
    "\n", "\r\n", "\r", "\t", "\0", "\x07", "\x1b[2J", "\x7f", "\x85", "\xa0", "\u200b", "\u202e", "\u2028", "\ufeff",
    "👩\u200d👩", f'"""\n{RUN}', "\ud800", "\udcff", "\ue000", "\U0010ffff", f"\n{RUN}\n", "z" * 100_000,
]  # fmt: skip

piece = st.sampled_from(HARMFUL) | st.text(st.characters(exclude_categories=["C", "Z"]), max_size=9)
text = st.lists(piece, min_size=1, max_size=5).map("".join)
anything = st.lists(piece | st.sampled_from(INVISIBLE) | st.text(max_size=9), max_size=5).map(
    "".join
)
part = text.map(lambda value: quote(value[:80], safe="")) | st.sampled_from(
    ["a", "$HOME", "${HOME}", "'", "!", "é", "日本", ";", "&", "=", ",", "(x)", "~", "*", "-1"]
)
addresses = st.builds(
    "{}://{}:{}@{}/{}{}".format,
    st.sampled_from(["postgresql", "postgres", "mysql", "mariadb", "mysql+mysqldb", "oracle"]),
    part,
    part,
    st.sampled_from(["localhost", "127.0.0.1:5432", "[::1]:3306", "é.example", "a_b"]),
    part,
    st.sampled_from(["", "?sslmode=require", "?options=-csearch_path%3D$user", "?password=%27x"]),
)
files = text.map(lambda value: "sqlite:///" + re.sub(r'["%?#<>^`{|}]', "", value).lstrip("/"))
slugs = st.from_regex(
    r"[a-z]([a-z0-9_]{0,48}[a-z0-9])?", fullmatch=True, alphabet=st.characters(codec="ascii")
)
emails = st.from_regex(
    r"[\w!#$%&'*+/=?^`{|}~-]{1,30}@[a-z]{1,9}\.[a-z]{2,9}",
    fullmatch=True,
    alphabet=st.characters(codec="ascii"),
)
either = {
    "project_name": text.map(lambda value: f"A {value}"[:120]),
    "project_slug": slugs,
    "description": text,
    "author_name": text,
    "author_email": emails,
    "database_uri": files | addresses,
    "interface": st.sampled_from([*answers.INTERFACES, "API"]),
    "accounts": st.sampled_from(["no", "yes"]),
    "ci": st.sampled_from([*answers.CI, "GitHub"]),
    "license": st.sampled_from([*answers.LICENSES, "mit"]),
}  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> dict[str, str]:
    """Answers to all questions, of which at most one is likely to be refused."""
    given = draw(st.fixed_dictionaries({}, optional=either))
    spoiled = draw(st.sampled_from([*[None] * 20, *answers.CHECKS]))
    if spoiled:
        given[spoiled] = draw(anything)
    return given


def run_here(script_path: str, cwd: str) -> None:
    """Run a hook in this process, as another one for each would take most of the time."""
    path, bytecode = sys.path[:], sys.dont_write_bytecode
    try:
        with contextlib.chdir(cwd):
            runpy.run_path(script_path, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError("a hook has failed") from end
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        sys.modules.pop("set_up", None)
        Path(script_path).unlink()


def bake(given: dict[str, str], folder: Path) -> Path | str:
    """Make a project in an empty folder; return its path, or the line that refuses the answers."""
    config, output = folder / "config.yaml", folder / "output"
    config.write_text(f"replay_dir: {folder}/replay\ncookiecutters_dir: {folder}/cookiecutters\n")
    output.mkdir()
    try:
        with contextlib.chdir(folder):
            made = make_project(
                str(TEMPLATE),
                no_input=True,
                extra_context={"set_up_now": "no", **given},
                output_dir=str(output),
                config_file=str(config),
            )
    except SystemExit as refusal:
        assert [*output.iterdir(), *folder.glob("replay/*")] == []
        return str(refusal)
    finally:
        assert not list(folder.rglob(CANARY))
    assert list(output.iterdir()) == [Path(made)]
    return Path(made)


@cache
def parse(suffix: str, content: str) -> object:
    """Read a file as what its name says; most are the same in many projects."""
    match suffix:
        case ".py":
            return compile(content, "file.py", "exec")
        case ".toml":
            return tomllib.loads(content)
        case ".yaml" | ".yml":
            return list(yaml.safe_load_all(content))
        case ".json":
            return json.loads(content)
    return None


def check_project(project: Path, given: dict[str, str]) -> None:
    """Everything can be read, and says what was answered."""
    contents = {path: path.read_text(encoding="utf-8") for path in text_files(project)}
    for path, content in contents.items():
        parse(path.suffix, content)
    given = {question: answer.strip(" ") for question, answer in given.items()}
    name = given.get("project_name", "My App")
    description = given.get("description", "A Flask application with database migrations.")
    author = {
        "name": given.get("author_name", "Your Name"),
        "email": given.get("author_email", "you@example.com"),
    }
    slug = given.get("project_slug", project.name)
    metadata = tomllib.loads(contents[project / "pyproject.toml"])["project"]
    assert (metadata["name"], project.name) == (slug, slug)
    assert metadata["description"] == description
    assert metadata["authors"] == [author]
    (config,) = [
        node.args[1]
        for node in ast.walk(ast.parse(contents[project / "src" / slug / "config.py"]))
        if isinstance(node, ast.Call)
        and [ast.unparse(argument) for argument in node.args[:1]] == ["'PROJECT_NAME'"]
    ]
    assert isinstance(config, ast.Constant)
    assert config.value == name
    assert json.loads(contents[project / ".devcontainer/devcontainer.json"])["name"] == name
    assert contents[project / "README.md"].startswith(f"# {name}\n\n{description}\n")
    assert author["name"] in contents[project / "LICENSE"]

    answer = given.get("database_uri", f"sqlite:///{slug}.db")
    secrets = dotenv_values(project / ".env")
    assert list(secrets)[:3] == ["FLASK_DEBUG", "SECRET_KEY", "DATABASE_URL"]
    assert secrets["DATABASE_URL"] == database_uri.parse(answer).full
    url, answered = make_url(secrets["DATABASE_URL"] or ""), make_url(answer)
    assert (url.username, url.password, url.host) == (
        answered.username,
        answered.password,
        answered.host,
    )
    assert unquote(url.database or "") == unquote(answered.database or "")
    if len(url.password or "") > 20:
        password = answer.split(":")[2].rpartition("@")[0]
        assert [path.name for path, content in contents.items() if password in content] == [".env"]


@pytest.mark.thorough
def test_answers_are_refused_in_one_line_or_stay_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # One for all projects, as compiling their templates would take the most time.
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    environment = create_env_with_context({"cookiecutter": questions})
    environment.bytecode_cache = FileSystemBytecodeCache(tempfile.mkdtemp(dir=tmp_path))
    monkeypatch.setattr(environment, "from_string", cache(environment.from_string))
    monkeypatch.setattr(cookiecutter.hooks, "run_script", run_here)
    monkeypatch.setattr(cookiecutter.generate, "create_env_with_context", lambda _: environment)
    monkeypatch.setattr(cookiecutter.generate, "is_binary", cache(is_binary))
    monkeypatch.chdir(tmp_path)
    seen: Counter[str] = Counter()

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=CASES == ORDINARY,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(given=cases())
    @example(given={"description": "{{ 7 * 7 }}"})  # what was once run
    @example(given={"project_name": "{{cookiecutter.project_slug}}"})
    @example(given={"description": "{{ undefined.name }}", "author_name": "{% x %}"})
    def attack(given: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            made = bake(given, Path(folder))
            if isinstance(made, str):
                assert made.startswith("Error: ")
                assert made.isprintable()
                assert len(made) < 400
                assert made.split()[1] in QUESTIONS
                seen["refused"] += 1
            else:
                check_project(made, given)
                seen["made"] += 1

    attack()

    assert not list(tmp_path.rglob(CANARY))
    assert min(seen.values()) > CASES / 6
    report(
        "Hostile answers",
        "all questions answered at once",
        f"{seen['made']:,} projects whole, with what was answered; {seen['refused']:,} times refused in one line;"
        " nothing run",
        tries=CASES,
        ordinary=ORDINARY,
    )


TOGETHER = [
    {
        "project_name": "A's \"B\" \\n {{ 7 * 7 }}",
        "description": f"{{{{ lipsum.__globals__.os.popen('touch {CANARY}').read() }}}} {{% raw %}} ${{{{ x }}}}",
        "author_name": f"'\"\"\" + {RUN} + '",
    },
    {
        "project_name": f"Ä $(touch {CANARY}) `touch {CANARY}` 日本 🎉 %s",
        "description": "{{ undefined.name }} {{ cookiecutter }} {# # #} <script>alert(1)</script>",
        "author_name": "שלום مرحبا'; DROP TABLE note; --",
        "author_email": "{{x}}$HOME'`id`@example.com",
        "database_uri": "sqlite:////tmp/é $HOME & id'; x.db",
    },
    {
        "project_name": "{{cookiecutter.project_slug}}",
        "description": "{{ cookiecutter.project_name }} C:\\Windows\\ ../../etc/passwd",
        "author_name": f"{{% set x = {RUN} %}}".ljust(200, "x"),
        "database_uri": "mysql://{}:{}@127.0.0.1/a".format(*[quote("'\"${X}{{ 7 * 7 }}%", safe="")] * 2),
    },
]  # fmt: skip
REFUSED = {
    "project_name": "A\x1b[2J",
    "project_slug": "../{{ 7 * 7 }}",
    "description": "{{ 7 * 7 }}\u202e",
    "author_name": "Ada\x85" + RUN,
    "author_email": f"$(touch {CANARY})",
    "database_uri": "sqlite:///{{ 7 * 7 }}",
}
Done = subprocess.CompletedProcess[str]


def typed(user: User, given: dict[str, str], template: Path) -> Done:
    terminal, error = at_the_prompt(user), ""
    for number, question in enumerate(QUESTIONS, start=1):
        terminal.expect_exact(f"[{number}/{len(QUESTIONS)}] ")
        terminal.expect_exact("): ")
        terminal.sendline(given.get(question, "no" if question == "set_up_now" else ""))
        if given.get(question) in REFUSED.values():
            terminal.expect_exact("Error: ")
            terminal.expect(r"\r\n +\[")  # the question again
            error = f"Error: {terminal.before}\n"
            terminal.expect_exact("): ")
            while terminal.isalive():  # a signal before the program waits can be lost
                terminal.sendintr()
                terminal.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=5)
            break
    terminal.expect(pexpect.EOF)
    terminal.close()
    return Done(["cookiecutter"], terminal.exitstatus or 0, error)


def as_arguments(user: User, given: dict[str, str], template: Path) -> Done:
    return user.cookiecutter("--no-input", "set_up_now=no", *map("=".join, given.items()))


def by_configuration(user: User, given: dict[str, str], template: Path) -> Done:
    config = yaml.safe_dump({"default_context": {"set_up_now": "no", **given}})
    (user.home / ".cookiecutterrc").write_text(config)
    return user.cookiecutter("--no-input")


def replayed(user: User, given: dict[str, str], template: Path) -> Done:
    shutil.rmtree(user.project("set_up_now=no").path)
    (record,) = (user.home / ".cookiecutter_replay").iterdir()
    context = json.loads(record.read_text())
    context["cookiecutter"] |= given | {"__set_up_now": "no"}
    record.write_text(json.dumps(context))
    done = user.cookiecutter("--replay")
    record.unlink()
    return done


def by_cruft(user: User, given: dict[str, str], template: Path) -> Done:
    context = json.dumps({"set_up_now": "no", **given})
    done = user.run("cruft", "create", str(template), "--no-input", "--extra-context", context)
    for project in (path for path in user.folder.iterdir() if path.is_dir()):
        difference = user.run("cruft", "diff", cwd=project)
        assert (difference.returncode, difference.stdout) == (0, "")
    return done


WAYS = {
    "typed at the prompts": typed,
    "given as key=value": as_arguments,
    "given by a user's configuration": by_configuration,
    "replayed": replayed,
    "given by cruft, and compared by it": by_cruft,
}


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
def test_answers_are_as_safe_in_each_way(
    way: str, new_user: Callable[[], User], repository: Path
) -> None:
    for answered in TOGETHER:
        user = new_user()
        database = {"database_uri": "sqlite:////tmp/'é' %24.db"}  # a record holds no password
        given = answered | (database if way == "replayed" else {})
        done = WAYS[way](user, given, repository)
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout
        (project,) = user.folder.iterdir()
        check_project(project, given)
        assert not [*user.folder.rglob(CANARY), *user.home.rglob(CANARY)]

    for question, answer in REFUSED.items():
        user = new_user()
        done = WAYS[way](user, {question: answer}, repository)
        assert done.returncode == 1
        assert done.stdout.startswith(f"Error: {question} ")
        assert done.stdout.count("\n") == 1
        assert [*user.folder.iterdir(), *user.home.glob(".cookiecutter_replay/*")] == []

    report(
        "Hostile answers",
        way,
        f"{len(TOGETHER)} projects whole, {len(REFUSED)} times refused in one line",
        tries=len(TOGETHER) + len(REFUSED),
    )


@pytest.mark.thorough
def test_typed_bytes_that_are_not_text_are_refused(user: User) -> None:
    user.env["PYTHONIOENCODING"] = "utf-8:strict"  # as in most locales
    terminal = at_the_prompt(user)
    terminal.expect_exact("): ")
    terminal.setecho(False)
    os.write(terminal.child_fd, b"A\xff\n")
    terminal.expect_exact(
        "Error: project_name 'A\\udcff' has a line break or an invisible character"
    )
    terminal.expect_exact("): ")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)

    assert "Traceback" not in str(terminal.before)
    assert user.files() == []
    report("Hostile answers", "bytes that are no UTF-8, typed", "refused in one line")
