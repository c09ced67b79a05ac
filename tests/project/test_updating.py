"""Checks docs/updating.md: cruft brings what is new in the template, and changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BODY, IDENTITY, MODELS, PRICE, QUESTIONS, TEMPLATE, Project, User, sqlite_uri
from passwords import PASSWORD, files_with_the_password
from recipes import edit, sections_of, write
from servers import KINDS, Server, driver_named, execute, rows

SECTIONS = sections_of(TEMPLATE / "docs" / "updating.md")
BY_GIT = "Update with git alone"
NAME = "    name: Mapped[str] = mapped_column(String(50), unique=True)\n"
TEMPLATE_FILES = "{{cookiecutter.project_slug}}/src/{{cookiecutter.project_slug}}"
EXTENSION = "src/flask_safe_migrations"
TEMPLATE_EXTENSION = f"{{{{cookiecutter.project_slug}}}}/{EXTENSION}"
# migrations/env.py of the projects that were made before there was an extension.
FORMER_ENV = '''"""Alembic runs this file for each `flask db` command; what it does is in the package."""

from my_app.database.migration import environment

environment.run()
'''


@pytest.fixture
def template(user: User, repository: Path, tmp_path: Path) -> Path:
    """A clone of this template, which git of this user finds on GitHub."""
    path = tmp_path / "github" / "cookiecutter-flask-migrate"
    assert user.run("git", "clone", "--quiet", str(repository), str(path)).returncode == 0
    user.env |= IDENTITY | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{path.parent}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/ORG/",
    }
    return path


def release(template: Path, user: User) -> None:
    """Commit a newer version of the template: it changes, adds and removes files, and asks more."""

    def replace(name: str, old: str, new: str) -> None:
        text = (template / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (template / name).write_text(text.replace(old, new), encoding="utf-8")

    project = template / "{{cookiecutter.project_slug}}"
    replace(f"{TEMPLATE_FILES}/notes/models.py", NAME, f"{NAME}    colour: Mapped[str | None]\n")
    replace(f"{TEMPLATE_EXTENSION}/init/flask/env.py", '"""Alembic', '"""Now Alembic')
    replace(f"{TEMPLATE_EXTENSION}/_lint.py", '"""Finds', '"""Now finds')
    (template / TEMPLATE_EXTENSION / "_new.py").write_text(
        '"""{{ 1 + 1 }} is not rendered here."""\n'
    )
    (template / TEMPLATE_EXTENSION / "README.md").unlink()
    replace("{{cookiecutter.project_slug}}/bin/set_up.py", '"""Set this', '"""Now set this')
    replace("{{cookiecutter.project_slug}}/LICENSE", "MIT License", "The MIT License")
    (project / "added.txt").write_text("{{ cookiecutter.question }} {{ '' | added_filter }}\n")
    (project / ".editorconfig").unlink()
    replace(
        "cookiecutter.json",
        '  "__prompts__": {',
        '  "question": "answer",\n'
        """  "__question": "{{ cookiecutter | check('question') }}",\n"""
        '  "__prompts__": {',
    )
    replace(
        "answers.py",
        '"author_name": check_text,',
        '"author_name": check_text, "question": check_text,',
    )
    replace("filters.py", "FILTERS = {", 'FILTERS = {"added_filter": repr,')
    replace("database_uri.py", '"""Parses', '"""Now parses')
    for command in (["add", "--all"], ["commit", "--quiet", "-m", "Second version"]):
        assert user.run("git", *command, cwd=template).returncode == 0


def type_in(project: Project, title: str, number: int, *more: str, code: int = 0) -> str:
    """Run a block of the page's section, with more arguments, and return what it prints."""
    language, block = SECTIONS[title][number]
    assert language == "sh"
    done = project.run("bash", "-euo", "pipefail", "-c", " ".join([block.strip(), *more]))
    assert done.returncode == code, f"{block}\n{done.stdout}"
    assert "Traceback" not in done.stdout
    return done.stdout


def create(user: User, *answers: str) -> Project:
    """Make a project as the page says, with these answers instead of the default ones."""
    context = json.dumps(dict(answer.split("=", 1) for answer in answers))
    folder = Project(user.folder, user.env)
    arguments = ["--no-input", f"--extra-context '{context}'"]
    output = type_in(folder, "Make a project that can be updated", 0, *arguments)
    project = Project(user.folder / "my_app", user.env, output)
    type_in(project, "Make a project that can be updated", 1)
    return project


def kept(project: Project) -> dict[str, bytes | list[Path]]:
    """Return all that an update has to leave alone."""
    names = (".env", "uv.lock", "LICENSE", ".venv/pyvenv.cfg", ".git/config")
    files = [project.path / name for name in names] + project.revisions()
    return {str(path): path.read_bytes() for path in files} | {
        "migrations": sorted((project.path / "migrations").rglob("*.[pim]*")),
        "instance": [*(project.path / "instance").rglob("*")],
        "environments": list(project.path.parent.rglob("pyvenv.cfg")),
    }


def change(project: Project) -> None:
    """Work as the owner: add a column and its revision, rewrite the README, delete a test."""
    project.replace(MODELS, BODY, f"{BODY}    price: Mapped[int | None]\n")
    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "upgrade")
    (project.path / "README.md").write_text("# Mine\n")
    (project.path / "tests" / "test_logs.py").unlink()
    for command in ("add --all", "commit --quiet -m mine"):
        project.succeed("git", *command.split())


def compare_and_update(project: Project, temporary: Path) -> None:
    """Check, diff and update by cruft, and see that nothing is set up."""
    temporary.mkdir()
    project = Project(project.path, {**project.env, "TMPDIR": str(temporary)})
    assert "out of date" in type_in(project, "Update", 0, code=1)

    difference = project.succeed("uvx", "cruft", "diff")
    assert "price" in difference
    for name in (".env", "uv.lock", "LICENSE", "migrations/", "bin/set_up", "instance"):
        assert f"/{name}" not in difference.replace(".env.example", "")
    assert difference.startswith("diff --git")

    output = type_in(project, "Update", 1)
    assert "Setting up" not in output
    assert "To set it up" not in output
    assert not list(temporary.glob("*/**/.env"))


def files_of(folder: Path) -> dict[str, str]:
    """Return the files of a folder with their text."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def assert_updated(project: Project, template: Path) -> None:
    extension = files_of(project.path / EXTENSION)
    assert extension == files_of(template / TEMPLATE_EXTENSION)
    assert "_new.py" in extension
    assert "README.md" not in extension
    text = (project.path / MODELS).read_text(encoding="utf-8")
    assert "price: " in text
    assert "colour: " in text
    assert (project.path / "added.txt").read_text() == "answer ''\n"
    assert not (project.path / ".editorconfig").exists()
    assert "Now set" in (project.path / "bin" / "set_up.py").read_text(encoding="utf-8")
    assert not (project.path / "tests" / "test_logs.py").exists()
    assert (project.path / "README.md").read_text() == "# Mine\n"
    assert not list(project.path.glob("**/*.rej"))


def finish(project: Project) -> None:
    """Follow the section on migrations to its end."""
    (project.path / "README.md").write_text("# Mine\n")
    before = len(project.revisions())
    type_in(project, "Migrations", 0, code=1)
    output = type_in(project, "Migrations", 1)
    assert "No new upgrade operations detected" in output
    assert len(project.revisions()) == before + 1
    assert "colour" in project.revisions()[-1].read_text(encoding="utf-8")
    assert '+"""Now Alembic' in type_in(project, "Migrations", 2)
    assert "passed" in type_in(project, "Migrations", 3)
    assert project.succeed("git", "status", "--short") == ""
    assert "up to date" in project.succeed("uvx", "cruft", "check")


@pytest.mark.thorough
def test_an_update_brings_what_is_new_and_nothing_else(
    template: Path, user: User, new_uri: Callable[[str], str], tmp_path: Path
) -> None:
    uri = new_uri("sqlite")
    database = Path(uri.removeprefix("sqlite:///"))
    project = create(user, f"database_uri={uri}")
    assert "✓ flask db check" in project.output
    change(project)
    release(template, user)
    before, rows, written = kept(project), database.read_bytes(), database.stat().st_mtime_ns

    compare_and_update(project, tmp_path / "temporary")

    assert_updated(project, template)
    assert kept(project) == before
    assert database.read_bytes() == rows
    assert database.stat().st_mtime_ns == written
    finish(project)


@pytest.mark.thorough
def test_an_update_asks_no_server_and_for_no_password(
    template: Path, user: User, postgresql_with_passwords: Server, tmp_path: Path
) -> None:
    server = postgresql_with_passwords
    name, database = server.new_user(PASSWORD), server.new_database()
    server.grant_all(name, database)
    server.run(f"ALTER ROLE {name} CREATEDB")  # for the project's own tests
    project = create(user, f"database_uri={server.uri(database, name, PASSWORD)}")
    assert "✓ flask db check" in project.output
    change(project)
    release(template, user)
    before, sessions = kept(project), sessions_of(server, database)

    compare_and_update(project, tmp_path / "temporary")

    assert_updated(project, template)
    assert kept(project) == before
    assert sessions_of(server, database) == sessions
    finish(project)
    assert sessions_of(server, database) > sessions
    assert files_with_the_password(user.home, user.folder) == [project.path / ".env"]


def sessions_of(server: Server, database: str) -> int:
    """Return how often a client has connected to a database of PostgreSQL."""
    query = f"SELECT sessions FROM pg_stat_database WHERE datname = '{database}'"
    with server.connect() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


@pytest.mark.thorough
def test_a_project_that_cookiecutter_made_can_be_linked(
    template: Path, user: User, tmp_path: Path
) -> None:
    project = user.project()
    before = kept(project)

    type_in(project, "A project that cookiecutter made", 0, "--no-input")

    type_in(project, "Make a project that can be updated", 1)
    assert kept(project) == before
    assert project.succeed("uvx", "cruft", "diff") == ""
    change(project)
    release(template, user)
    before = kept(project)
    compare_and_update(project, tmp_path / "temporary")
    assert_updated(project, template)
    assert kept(project) == before


@pytest.mark.thorough
def test_answers_given_again_set_nothing_up(template: Path, user: User) -> None:
    project = create(user)
    release(template, user)
    before = kept(project)
    questions = "\n" * (len(QUESTIONS) + 1)

    command = f"printf '{questions}' | uvx cruft update --skip-apply-ask --cookiecutter-input"
    output = project.succeed("bash", "-c", command)

    assert "Setting up" not in output
    assert (project.path / "added.txt").exists()
    assert kept(project) == before


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sqlite", marks=pytest.mark.thorough),
        *(pytest.param(kind, marks=pytest.mark.weekly) for kind in KINDS[1:]),
    ],
)
def test_accounts_are_turned_on_later(kind: str, user: User, new_uri: Callable[[str], str]) -> None:
    """As docs/accounts.md says; the notes that are there are kept."""
    uri = driver_named(new_uri(kind))
    project = create(user, f"database_uri={uri}")
    execute(uri, "INSERT INTO note (title, body) VALUES ('Milk', 'Two litres')")

    for language, block in sections_of(TEMPLATE / "docs/accounts.md")["Turning accounts on later"]:
        if language == "sh":
            asked = " --password 'correct horse battery staple'" if "users create" in block else ""
            done = project.run("bash", "-euo", "pipefail", "-c", block.strip() + asked)
            assert done.returncode == 0, f"{block}\n{done.stdout}"
        elif language == "diff":
            edit(project, block)
        else:
            write(project, block)

    owners = "SELECT title, email FROM note JOIN account ON account.id = owner_id"
    assert rows(uri, owners) == [("Milk", "you@example.com")]


@pytest.mark.thorough
@pytest.mark.usefixtures("template")
def test_another_answer_is_taken_by_an_update(user: User) -> None:
    project = create(user)
    before = kept(project)

    answer = json.dumps({"interface": "api"})
    options = ["--skip-apply-ask", "--variables-to-update", answer]
    project.succeed("uvx", "cruft", "update", *options)

    assert not (project.path / "src/my_app/home.py").exists()
    assert (project.path / "src/my_app/api.py").exists()
    assert kept(project) == before


@pytest.mark.thorough
def test_a_copy_of_the_extension_that_was_edited_is_replaced(template: Path, user: User) -> None:
    project = create(user)
    copy = project.path / EXTENSION
    for name, old in (("_lint.py", '"""Finds'), ("_lock.py", '"""Lets')):
        project.replace(f"{EXTENSION}/{name}", old, '"""Mine')
    (copy / "_mine.py").write_text('"""Mine."""\n')
    (copy / "_sqlite.py").unlink()
    type_in(project, "Make a project that can be updated", 1)
    release(template, user)

    type_in(project, "Update", 1)
    assert "<<<<<<<" in (copy / "_lint.py").read_text(encoding="utf-8")
    type_in(project, "The extension", 0)

    assert files_of(copy) == files_of(template / TEMPLATE_EXTENSION)
    assert not project.succeed("git", "diff", "--name-only", "--diff-filter=U")
    assert "(head)" in project.flask("db", "current")


@pytest.mark.thorough
def test_the_extension_is_installed_as_a_package_instead(
    template: Path, user: User, tmp_path: Path
) -> None:
    assert user.run("uv", "build", "--wheel", f"--out-dir={tmp_path}", cwd=template).returncode == 0
    (wheel,) = tmp_path.glob("*.whl")
    project = create(user)
    title = "Install it as a package instead"

    for language, block in SECTIONS[title]:
        if language == "diff":
            edit(project, block)
        else:
            command = block.strip().replace("uv add flask-safe-migrations", f"uv add {wheel}")
            project.succeed("bash", "-c", command)

    script = "import flask_safe_migrations; print(flask_safe_migrations.__file__)"
    assert "site-packages" in project.succeed("uv", "run", "python", "-c", script)
    settings = (project.path / "pyproject.toml").read_text(encoding="utf-8")
    assert settings.count(EXTENSION) == 1  # cruft skips it
    assert "flask_safe_migrations.cli" not in settings
    project.replace(MODELS, BODY, f"{BODY}{PRICE}")
    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "prepare")
    assert "No new upgrade operations detected" in project.flask("db", "check")
    for check in ("pytest", "mypy", "ruff check", "ruff format --check"):
        project.succeed("uv", "run", *check.split())

    project.succeed("git", *"add --all".split())
    project.succeed("git", *"commit --quiet -m package".split())
    release(template, user)
    type_in(project, "Update", 1)
    assert (project.path / "added.txt").exists()
    assert not list((project.path / EXTENSION).rglob("*.py"))
    assert "(head)" in project.flask("db", "current")


@pytest.mark.thorough
def test_the_env_py_of_an_older_project_needs_no_change(fresh_project: Project) -> None:
    """`src/my_app/database/migration` is gone, which this file imports from."""
    project = fresh_project
    (project.path / "migrations" / "env.py").write_text(FORMER_ENV)
    project.replace(MODELS, BODY, f"{BODY}{PRICE}")

    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "prepare")

    assert "No new upgrade operations detected" in project.flask("db", "check")
    refused = project.run("uv", "run", "flask", "db", "revision", "--autogenerate", "-m", "x")
    assert refused.returncode == 0
    assert "No changes" in refused.stdout


@pytest.mark.thorough
def test_an_update_by_git_alone_brings_what_is_new_and_nothing_else(
    template: Path, user: User
) -> None:
    project = user.project()
    write(project, SECTIONS[BY_GIT][0][1])
    type_in(project, BY_GIT, 1)
    assert project.succeed("git", "status", "--short") == ""
    change(project)
    release(template, user)
    before = kept(project)
    del before[str(project.path / "LICENSE")]

    type_in(project, BY_GIT, 2)

    assert_updated(project, template)
    after = kept(project)
    assert "The MIT License" in str(after.pop(str(project.path / "LICENSE")))
    assert after == before
    assert project.succeed("git", "status", "--short") == ""
    assert not list(project.path.parent.glob("template*"))
    assert "passed" in type_in(project, "Migrations", 1) + type_in(project, "Migrations", 3)


FIRST_RELEASE = "0bd588d5b91b666058bff4bd47bc4cda6cf603aa"


@pytest.mark.thorough
def test_a_project_of_the_first_release_takes_this_one(template: Path, user: User) -> None:
    """With its owner's changes, its data and its revisions; it gets the extension."""
    history = template.parent / "first"
    run = user.run
    found = run("git", "clone", "--quiet", "--no-local", str(TEMPLATE), str(history)).returncode
    if found or run("git", "checkout", "--quiet", FIRST_RELEASE, cwd=history).returncode:
        pytest.skip("needs the history of the template: git fetch --unshallow")
    # The branch of the template, whose history the clones of the other tests don't have.
    for command in ("checkout -B main", f"--work-tree {template} add --all", "commit -qm Newest"):
        assert run("git", *command.split(), cwd=history).returncode == 0
    template.rename(template.with_name("unused"))
    history.rename(template)
    project = first_release(template, user)

    write(project, SECTIONS[BY_GIT][0][1])
    block = SECTIONS[BY_GIT][1][1]
    assert "--checkout HEAD" in block
    done = project.run(
        "bash", "-euc", block.replace("--checkout HEAD", f"--checkout {FIRST_RELEASE}")
    )
    assert done.returncode == 0, done.stdout
    before = [path.read_bytes() for path in project.revisions()]

    assert "CONFLICT" in type_in(project, BY_GIT, 2, code=1)

    conflicts = project.succeed("git", "diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == ["README.md", MODELS, "tests/test_config.py"]
    project.succeed("git", "checkout", "--ours", "README.md")
    project.succeed("git", "checkout", "--theirs", MODELS)
    project.replace(MODELS, BODY, BODY + PRICE)
    project.succeed("git", "rm", "--quiet", "tests/test_config.py")
    project.succeed("git", "add", "--all")
    project.succeed("git", "commit", "--quiet", "-m", "Take the newest version")
    assert [path.read_bytes() for path in project.revisions()] == before
    assert files_of(project.path / EXTENSION) == files_of(TEMPLATE / TEMPLATE_EXTENSION)
    assert not list((project.path / "src/my_app/database").glob("*.py"))
    project.succeed("uv", "sync")
    type_in(project, "Migrations", 1)
    assert "passed" in type_in(project, "Migrations", 3)
    notes = rows(sqlite_uri(project), "SELECT title, body, price, version FROM note")
    assert notes == [("Milk", "Two litres", 3, 1)]


def first_release(template: Path, user: User) -> Project:
    """Make a project by the first release, and work in it as its owner."""
    done = user.cookiecutter(
        "--no-input", "--checkout", FIRST_RELEASE, template=f"git+file://{template}"
    )
    assert "✓ flask db check" in done.stdout, done.stdout
    project = Project(user.folder / "my_app", user.env)
    project.replace(MODELS, BODY, BODY + PRICE)
    project.flask("db", "migrate", "-m", "add price")
    project.flask("db", "upgrade")
    execute(
        sqlite_uri(project),
        "INSERT INTO note (title, body, price) VALUES ('Milk', 'Two litres', 3)",
    )
    (project.path / "README.md").write_text("# Mine\n")
    (project.path / "tests" / "test_config.py").unlink()
    for command in ("add --all", "commit --quiet -m mine"):
        project.succeed("git", *command.split())
    return project
