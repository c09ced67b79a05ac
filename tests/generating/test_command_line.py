"""The real command line of cookiecutter, typed by a real user."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pexpect
import pytest
from conftest import (
    IDENTITY,
    NO_NETWORK,
    QUESTIONS,
    TEMPLATE,
    Project,
    User,
    at_the_prompt,
    commands_printed_by,
)
from reliability import report

BAD_NAMES = ["class", "2048 game", "🎉", "flask", "../x"]


def test_answers_typed_at_the_prompts(user: User) -> None:
    answers = {"project_name": "Inventory", "author_name": "Ada Lovelace"}
    terminal = at_the_prompt(user)
    for number, (question, text) in enumerate(QUESTIONS.items(), start=1):
        terminal.expect_exact(f"[{number}/{len(QUESTIONS)}] {text}")
        terminal.sendline(answers.get(question, ""))
    terminal.expect_exact("✓ flask db check")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    project = Project(user.folder / "inventory", user.env)
    assert 'name = "Ada Lovelace"' in (project.path / "pyproject.toml").read_text()
    assert "(head)" in project.flask("db", "current")


@pytest.mark.thorough
def test_a_terminal_shows_that_a_step_is_under_way(user: User) -> None:
    terminal = at_the_prompt(user)
    for _ in QUESTIONS:
        terminal.expect_exact("): ")
        terminal.sendline("")

    terminal.expect(r"\r  \. install the packages in \.venv +0\.\d s\r")
    terminal.expect(pexpect.EOF)


# For each question wrong answers with what is said of them, and one that is taken.
DIALOG: dict[str, tuple[dict[str, str], str]] = {
    "project_name": (
        {
            "class": "belongs to Python itself",
            "2048 game": "start with a letter",
            "🎉": "start with a letter",
        },
        "Book Shop",
    ),
    "project_slug": (
        {"../x": "is not a valid package name", "flask": "another name", "taken": "already exists"},
        "shop",
    ),
    "description": ({" ": "is empty"}, "Sells books."),
    "author_name": ({"A" * 300: "too long"}, "Ada Lovelace"),
    "author_email": ({"nobody": "not an e-mail address"}, "ada@example.org"),
    "database_uri": (
        {
            "shop.db": "not the address of a database",
            "postgresql://ada:pass word@localhost/shop": "quote it as %20",
            "postgresql://ada@localhost:port/shop": "invalid port",
        },
        "postgres",
    ),
    "interface": ({"cli": "not one of pages+api, pages, api"}, "both"),
    "accounts": ({"perhaps": "neither yes nor no"}, "y"),
    "ci": ({"travis": "not one of github, gitlab, none"}, "GitLab CI"),
    "license": ({"GPL": "not one of MIT, BSD-3-Clause"}, "bsd"),
    "set_up_now": ({"later": "neither yes nor no"}, "n"),
}


def compare_with_docs(shown: str) -> None:
    """Hold the session on the page of the questions against what was shown, or write it there."""
    dialog = re.sub("A{60,}", "AAA…", shown[shown.index("[1/") : shown.index("The project is")])
    lines = [line.strip() for line in dialog.splitlines()]
    session = "\n".join(filter(None, lines))
    page = TEMPLATE / "docs" / "questions.md"
    text = page.read_text(encoding="utf-8")
    before, start, recorded = text.partition("```console\n")
    if os.environ.get("UPDATE_DOCS") == "1":
        page.write_text(f"{before}{start}{session}\n```\n", encoding="utf-8")
    else:
        assert recorded == f"{session}\n```\n"


def test_after_a_wrong_answer_the_question_is_asked_again(user: User) -> None:
    (user.folder / "taken").mkdir()
    user.env |= IDENTITY
    terminal = at_the_prompt(user)
    terminal.logfile_read = shown = io.StringIO()
    for number, (question, text) in enumerate(QUESTIONS.items(), start=1):
        wrong, right = DIALOG[question]
        for answer, message in wrong.items():
            terminal.expect_exact(f"[{number}/{len(QUESTIONS)}] {text}")
            terminal.expect_exact("): ")
            terminal.sendline(answer)
            terminal.expect(rf"Error: {question}[^\r]*{re.escape(message)}[^\r]*\r\n")
        terminal.expect_exact("): ")
        terminal.sendline(right)
        if right in ("postgres", "both", "y", "GitLab CI", "bsd", "n"):
            terminal.expect_exact(f"Note: {question} is ")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0
    compare_with_docs(shown.getvalue().replace(str(user.folder), "/home/ada"))
    project = user.folder / "shop"
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert about["authors"] == [{"name": "Ada Lovelace", "email": "ada@example.org"}]
    assert (about["description"], about["license"]) == ("Sells books.", "BSD-3-Clause")
    assert "psycopg://postgres@localhost/shop" in (project / ".env").read_text()
    assert (project / "src/shop/accounts").exists()
    assert (project / "src/shop/api.py").exists()
    assert (project / ".gitlab-ci.yml").exists()


def test_accounts_without_pages_are_asked_again_with_the_interface(user: User) -> None:
    terminal = at_the_prompt(user)
    answers = {7: "api", 8: "yes"}
    for number in range(1, 9):
        terminal.expect_exact(f"[{number}/")
        terminal.sendline(answers.get(number, ""))
    terminal.expect_exact("needs pages to log in on")
    for number, answer in enumerate(["pages", "yes", "", "", "no"], start=7):
        terminal.expect_exact(f"[{number}/")
        terminal.sendline(answer)
    terminal.expect(pexpect.EOF)

    package = user.folder / "my_app" / "src" / "my_app"
    assert (package / "accounts").exists()
    assert not (package / "api.py").exists()


def test_a_folder_that_exists_is_seen_before_the_other_questions(user: User) -> None:
    (user.folder / "my_app").mkdir()
    terminal = at_the_prompt(user)
    terminal.sendline("\n")  # a name, and its folder
    terminal.expect_exact(f"{user.folder}/my_app already exists")
    terminal.expect_exact("(my_app_2): ")  # the next one is suggested
    terminal.sendline("")
    terminal.expect_exact("[3/")
    terminal.close()


def test_a_default_that_is_wrong_is_not_offered_again(user: User) -> None:
    """Answers that are given on the command line, or by a configuration, are the defaults."""
    terminal = at_the_prompt(user, "author_email=nobody")
    for number in range(1, 6):
        terminal.expect_exact(f"[{number}/")
        terminal.sendline("")
    terminal.expect_exact("Error: author_email 'nobody' is not an e-mail address")
    terminal.expect_exact("(you@example.com): ")
    terminal.close()


@pytest.mark.parametrize("program", ["cookiecutter", "cruft create", "Python"])
def test_answers_that_are_not_typed_are_not_asked_again(program: str, user: User) -> None:
    """Nobody is there to answer."""
    call = f"from cookiecutter.main import cookiecutter; cookiecutter({str(TEMPLATE)!r}, no_input=True, extra_context={{'ci': 'x'}})"
    commands = {
        "cookiecutter": ["cookiecutter", str(TEMPLATE), "--no-input", "ci=x"],
        "cruft create": ["cruft", "create", str(TEMPLATE), "-y", "--extra-context", '{"ci": "x"}'],
        "Python": [sys.executable, "-c", call],
    }
    terminal = pexpect.spawn(
        commands[program][0],
        commands[program][1:],
        cwd=str(user.folder),
        env=user.env,
        encoding="utf-8",
    )
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 1
    assert terminal.before == "Error: ci 'x' is not one of github, gitlab, none.\r\n"


def test_a_program_that_asks_somebody_asks_again(user: User) -> None:
    call = f"from cookiecutter.main import cookiecutter; cookiecutter({str(TEMPLATE)!r}, extra_context={{'set_up_now': 'no'}})"
    done = subprocess.run(
        [sys.executable, "-c", call],
        cwd=user.folder,
        env=user.env,
        input="Shop\n\n\n\nnobody\nada@example.org\n" + "\n" * 6,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "Error: author_email 'nobody' is not an e-mail address: type one such as you@example.com.\n"
    )
    assert 'email = "ada@example.org"' in (user.folder / "shop" / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_on_the_command_line(user: User, name: str) -> None:
    question = "project_slug" if name == "../x" else "project_name"
    done = user.cookiecutter("--no-input", f"{question}={name}")

    assert done.returncode == 1
    assert done.stdout.startswith(f"Error: {question} ")
    assert done.stdout.count("\n") == 1
    assert user.files() == []


@pytest.mark.thorough
def test_the_same_answers_again(user: User) -> None:
    """`--replay` makes the same project, and checks answers that were never typed."""
    first = user.project("project_name=Inventory", "set_up_now=no")
    first.path.rename(user.folder / "first")

    done = user.cookiecutter("--replay")

    assert done.returncode == 0, done.stdout
    assert (user.folder / "inventory" / "bin" / "set_up.py").exists()

    (record,) = (user.home / ".cookiecutter_replay").iterdir()
    record.write_text(record.read_text().replace('"inventory"', '"class"'))
    refused = user.cookiecutter("--replay")

    assert refused.returncode == 1
    assert refused.stdout.startswith("Error: project_slug 'class' belongs to Python itself")
    assert refused.stdout.count("\n") == 1
    assert not (user.folder / "class").exists()


@pytest.mark.parametrize(
    "missing",
    [
        ["license"],
        *(pytest.param([question], marks=pytest.mark.thorough) for question in QUESTIONS),
        pytest.param(["interface", "accounts"], marks=pytest.mark.thorough),
    ],
)
def test_the_record_of_a_template_with_fewer_questions(missing: list[str], user: User) -> None:
    """`--replay` asks only what is new. Everything else is as it was answered."""
    shutil.rmtree(user.project("author_name=Ada Lovelace", "set_up_now=no").path)
    (record,) = (user.home / ".cookiecutter_replay").iterdir()
    answers = json.loads(record.read_text())
    for question in missing:
        del answers["cookiecutter"][question]
        del answers["cookiecutter"][f"__{question}"]
    record.write_text(json.dumps(answers))
    terminal = at_the_prompt(user, "--replay")
    for question in missing:
        terminal.expect_exact(f"] {QUESTIONS[question]}")
        terminal.sendline(
            "wrong" if question == "license" else "no" if question == "set_up_now" else ""
        )
    if "license" in missing:
        terminal.expect_exact("not one of MIT")
        terminal.sendline("BSD-3-Clause")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 0, terminal.before
    about = (user.folder / "my_app" / "pyproject.toml").read_text()
    assert ("Ada Lovelace" in about) == (missing != ["author_name"])
    assert ('license = "BSD-3-Clause"' in about) == ("license" in missing)


def test_the_record_of_a_template_with_no_private_variables(user: User) -> None:
    shutil.rmtree(user.project("author_name=Ada Lovelace", "set_up_now=no").path)
    (record,) = (user.home / ".cookiecutter_replay").iterdir()
    answers = json.loads(record.read_text())["cookiecutter"]
    public = {name: value for name, value in answers.items() if name[0] != "_"}
    record.write_text(json.dumps({"cookiecutter": public}))

    done = user.cookiecutter("--replay")

    assert done.returncode == 0, done.stdout
    assert "Ada Lovelace" in (user.folder / "my_app" / "pyproject.toml").read_text()


def test_what_the_set_up_will_miss_is_said_before_the_first_question(
    user: User, tmp_path: Path
) -> None:
    user.env["UV_CACHE_DIR"] = str(tmp_path / "cache")
    for env, notes in (
        (IDENTITY, []),
        (NO_NETWORK, ["git does not know your name", "uv can't reach the package index"]),
        (IDENTITY | {"UV": str(tmp_path / "uv")}, ["uv can't reach the package index"]),
    ):
        terminal = at_the_prompt(User(user.home, user.folder, user.env | env))
        terminal.expect_exact("[1/")
        terminal.close()

        said = str(terminal.before).strip()
        assert len(said.splitlines()) == len(notes), said
        assert all(f"Note: {note}" in said for note in notes)


def test_a_template_from_a_git_url(user: User, repository: Path) -> None:
    done = user.cookiecutter("--no-input", template=f"git+file://{repository}")

    assert done.returncode == 0, done.stdout
    project = Project(user.folder / "my_app", user.env)
    assert "(head)" in project.flask("db", "current")


def test_a_folder_that_exists_is_left_untouched(user: User) -> None:
    (user.folder / "my_app").mkdir()
    (user.folder / "my_app" / "mine").write_text("mine")

    done = user.cookiecutter("--no-input")

    assert done.returncode == 1
    assert "already exists" in done.stdout
    assert "Traceback" not in done.stdout
    assert [path.name for path in (user.folder / "my_app").iterdir()] == ["mine"]
    report("Odd machines", "a folder of this name", "refused, nothing in it changed")


@pytest.mark.thorough
def test_each_printed_command_works(user: User) -> None:
    done = user.cookiecutter("--no-input")
    enter, serve, *others = commands_printed_by(done.stdout)

    assert (enter, serve) == ("cd my_app", "uv run flask run")
    assert len(others) == 3
    for command in others:
        shown = user.run("bash", "-c", f"{enter} && {command}")
        assert shown.returncode == 0, shown.stdout


@pytest.mark.thorough
def test_without_a_network_one_command_finishes_the_set_up_later(
    user: User, tmp_path: Path
) -> None:
    network = dict(user.env)
    user.env |= NO_NETWORK | {"UV_CACHE_DIR": str(tmp_path / "cache")}

    done = user.cookiecutter("--no-input")

    assert done.returncode == 0
    assert "✗ install the packages in .venv" in done.stdout
    assert "Traceback" not in done.stdout
    (command,) = commands_printed_by(done.stdout)

    user.env = network
    finished = user.run("bash", "-c", command)

    assert finished.returncode == 0, finished.stdout
    assert "✓ flask db check" in finished.stdout
    assert commands_printed_by(finished.stdout)[0] == "cd my_app"
    report("Odd machines", "no network", "explained, finished by one command")


def test_a_set_up_that_fails_can_be_a_failure(user: User, tmp_path: Path) -> None:
    user.env |= {"SET_UP_STRICT": "1", "UV": "/no/such/uv"}

    done = user.cookiecutter("--no-input")

    assert done.returncode == 1
    assert "/no/such/uv can't be run" in done.stdout
    assert "To finish" not in done.stdout
    assert not (user.folder / "my_app").exists()


def test_a_set_up_for_later_is_one_command(user: User) -> None:
    done = user.cookiecutter("--no-input", "set_up_now=no")
    (command,) = commands_printed_by(done.stdout)

    assert not (user.folder / "my_app" / ".venv").exists()
    assert "✓ flask db check" in user.run("bash", "-c", command).stdout


def test_the_first_commit_is_made_where_git_knows_who_commits(user: User) -> None:
    user.env |= IDENTITY
    project = user.project()

    assert '✓ git commit -m "Initial commit"' in project.output
    assert project.succeed("git", "status", "--short") == ""
    committed = project.succeed("git", "ls-files").splitlines()
    assert {"uv.lock", "migrations/env.py", ".env.example", "bin/set_up.py"} <= set(committed)
    assert ".env" not in committed


@pytest.mark.thorough
def test_inside_a_repository_no_other_one_is_made(user: User) -> None:
    user.run("git", "init", "--quiet")
    user.env |= IDENTITY
    project = user.project()

    assert "git" not in re.findall(r"✓ (\w+)", project.output)
    assert not (project.path / ".git").exists()
    assert user.run("git", "log").returncode == 128  # nothing was committed there


@pytest.mark.thorough
def test_what_leads_elsewhere_in_the_environment_is_not_followed(
    user: User, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    before = len(user.env)
    user.env |= {
        "DATABASE_URL": f"sqlite:///{elsewhere}",
        "FLASK_APP": "nothing",
        "VIRTUAL_ENV": str(elsewhere),
        "PYTHONPATH": str(elsewhere),
        "GIT_DIR": str(elsewhere),
        "LOG_LEVEL": "nonsense",
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
        "UV_FROZEN": "1",
        "UV_LOCKED": "1",
        "UV_NO_DEV": "1",
        "UV_NO_EDITABLE": "1",
        "UV_PROJECT": str(elsewhere),
        "UV_PROJECT_ENVIRONMENT": str(elsewhere),
        "UV_WORKING_DIR": str(elsewhere),
    }
    given = len(user.env) - before
    project = user.project()

    assert (project.path / "instance" / "my_app.db").exists()
    assert (project.path / ".git").exists()
    assert (project.path / "uv.lock").exists()
    assert (project.path / ".venv" / "bin" / "ruff").exists()
    assert not list(project.path.glob(".venv/lib/*/site-packages/my_app/__init__.py"))
    assert not elsewhere.exists()
    report(
        "Odd machines", "an environment that leads elsewhere", "set up, not followed", tries=given
    )


GIT_SETTINGS = """
[core]
    hooksPath = {hooks}
    safecrlf = true
    autocrlf = true
    excludesFile = {hooks}/ignored
    attributesFile = {hooks}/attributes
[init]
    defaultBranch = trunk
[commit]
    gpgSign = true
[user]
    name = Ada
    email = ada@example.org
"""


def test_the_settings_of_git_do_not_change_the_first_commit(user: User, tmp_path: Path) -> None:
    hooks = {
        "prepare-commit-msg": "#!/bin/sh\nexit 1\n",
        "post-commit": "#!/bin/sh\ntouch canary\n",
    }
    for name, script in hooks.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ignored").write_text("*.lock\n.env.example\nmigrations\n")
    (tmp_path / "attributes").write_text("* filter=none working-tree-encoding=UTF-16\n")
    (user.home / ".gitconfig").write_text(GIT_SETTINGS.format(hooks=tmp_path))
    project = user.project()

    assert '✓ git commit -m "Initial commit"' in project.output
    assert project.succeed("git", "branch", "--show-current") == "trunk\n"
    committed = project.succeed("git", "ls-files").splitlines()
    assert {"uv.lock", "migrations/env.py", ".env.example"} <= set(committed)
    assert not list(user.folder.rglob("canary"))
    assert b"\r" not in (project.path / "uv.lock").read_bytes()


def test_a_first_commit_that_fails_is_explained(user: User, tmp_path: Path) -> None:
    git = shutil.which("git")
    script = f'case "$*" in *commit*) echo "fatal: no room" >&2; exit 128;; esac; exec {git} "$@"'
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "git").chmod(0o755)
    user.env |= IDENTITY | {"PATH": f"{tmp_path}:{user.env['PATH']}"}
    project = user.project()

    assert "✗ git commit" in project.output
    assert "fatal: no room\n    Fix that, then run: git add --all && git commit\n" in project.output
    assert "Done. Next:" in project.output


@pytest.mark.thorough
def test_what_pip_is_told_elsewhere_does_not_keep_it_from_bringing_uv(
    user: User, tools: Path
) -> None:
    subprocess.run([tools / "python3", "-m", "venv", user.folder / "venv"], check=True)
    user.env["PATH"] = f"{user.folder / 'venv' / 'bin'}:{tools}"
    assert user.run("pip", "install", "--quiet", "cookiecutter").returncode == 0
    config = user.home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        "[global]\nuser = true\nrequire-virtualenv = true\n[install]\ndry-run = true\n"
    )
    user.env |= {"PIP_USER": "1", "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1"}

    done = user.cookiecutter("--no-input")

    assert "✓ flask db check" in done.stdout, done.stdout


@pytest.mark.thorough
def test_where_only_pip_is_at_hand_it_brings_uv(user: User, tools: Path) -> None:
    subprocess.run([tools / "python3", "-m", "venv", user.folder / "venv"], check=True)
    user.env["PATH"] = f"{user.folder / 'venv' / 'bin'}:{tools}"
    assert user.run("pip", "install", "--quiet", "cookiecutter").returncode == 0

    done = user.cookiecutter("--no-input")

    assert done.returncode == 0, done.stdout
    enter, activate, _, *others = commands_printed_by(done.stdout)
    assert activate == ". .venv/bin/activate"
    for command in others:
        shown = user.run("bash", "-c", f"{enter} && {activate} && {command}")
        assert shown.returncode == 0, shown.stdout
    report("Odd machines", "no uv", "pip brings it, each printed command works")


@pytest.mark.thorough
def test_an_interrupted_set_up_says_how_to_go_on(user: User) -> None:
    terminal = at_the_prompt(user)
    for _ in QUESTIONS:
        terminal.expect_exact("): ")
        terminal.sendline("")
    terminal.expect_exact(". install the packages")
    terminal.sendintr()
    terminal.expect_exact("Interrupted.")
    terminal.expect_exact("To finish, run:")
    terminal.expect(pexpect.EOF)

    done = user.run(Path(sys.executable), user.folder / "my_app" / "bin" / "set_up.py")
    assert "✓ flask db check" in done.stdout
    report("Interruptions", "Ctrl-C while packages are installed", "finished by one command")


def test_neither_yes_nor_no_is_refused(user: User) -> None:
    done = user.cookiecutter("--no-input", "set_up_now=perhaps")

    assert done.returncode == 1
    assert done.stdout == "Error: set_up_now 'perhaps' is neither yes nor no.\n"


def test_a_private_variable_that_is_given_decides_nothing(user: User) -> None:
    code = "{{ cycler.__init__.__globals__.os.system('touch canary') }}"
    given = {
        "set_up_now": "no",
        "description": code,
        "__answers": code,
        "__description": "",
        "__set_up_now": "yes",
        "__driver": "oracle",
        "__database": "mysql",
    }
    done = user.cookiecutter("--no-input", *map("=".join, given.items()))

    assert done.returncode == 0, done.stdout
    assert [path.name for path in user.folder.iterdir()] == ["my_app"]
    made = user.folder / "my_app"
    assert not (made / ".venv").exists()
    assert "mysql" not in (made / "compose.yaml").read_text()
    assert code in (made / "README.md").read_text()


@pytest.mark.thorough
def test_a_clone_is_set_up_by_the_same_command(user: User) -> None:
    user.env |= IDENTITY
    project = user.project()
    user.run("git", "clone", "--quiet", "my_app", "clone")
    clone = Project(user.folder / "clone", user.env | {"PWD": str(user.folder / "clone")})

    for _ in range(2):
        output = clone.succeed("python3", "bin/set_up.py")
        assert "✓ flask db check" in output
        assert not re.search("flask db (init|migrate -m .initial)|git init|commit it", output)
        assert commands_printed_by(output)[0] == "uv run flask run"

    assert "(head)" in clone.flask("db", "current")
    assert clone.succeed("git", "status", "--short") == ""
    assert [path.name for path in clone.revisions()] == [path.name for path in project.revisions()]

    # As in the clone of a project on a server.
    clone.replace(".env", "\nDATABASE_URL=sqlite:///my_app.db\n", "\nDATABASE_URL=\n")
    refused = clone.run("python3", "bin/set_up.py")
    assert refused.returncode == 1
    assert "DATABASE_URL is empty in .env: fill it in." in refused.stdout
    assert commands_printed_by(refused.stdout) == ["python3 bin/set_up.py"]
