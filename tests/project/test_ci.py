"""The first push is green: what CI would do is done here, in a clean clone, command by command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import servers
import yaml
from actions import actionlint, schema_finds_nothing, zizmor
from conftest import IDENTITY, NO_NETWORK, Bake, Project, User, checks_at_the_desk, own_files
from sqlalchemy import make_url

from answers import CI, INTERFACES

GITHUB, GITLAB = ".github/workflows/ci.yml", ".gitlab-ci.yml"
URIS = {
    "sqlite": "sqlite:///my_app.db",
    "postgresql": "postgresql://user@localhost/my_app",
    "mysql": "mysql://user@localhost/my_app",
    "mariadb": "mariadb://user@localhost/my_app",
    "another": "cockroachdb://user@localhost/my_app",
}
OPTIONS: dict[str, Sequence[str]] = {
    "database": servers.KINDS,
    "interface": tuple(INTERFACES),
    "ci": tuple(CI),
    "accounts": ("no", "yes"),
    "license": ("MIT", "none"),  # the others differ in their text only
}
# Used by their names alone: a program, what DATABASE_URL names, what Flask reads .flaskenv with,
# what Flask-Security asks for.
NEVER_IMPORTED = [
    "argon2-cffi",
    "cryptography",
    "gunicorn",
    "nh3",
    "psycopg",
    "pymysql",
    "python-dotenv",
    "qrcode",
]


def each_pair() -> list[dict[str, str]]:
    """A few projects' answers, so that any two values of two options meet in one of them."""
    projects = [dict(zip(OPTIONS, values, strict=True)) for values in product(*OPTIONS.values())]
    projects = [
        project
        for project in projects
        if (project["accounts"], project["interface"]) != ("yes", "api")
    ]
    missing = {pair for project in projects for pair in combinations(project.items(), 2)}
    chosen = []
    while missing:
        best = max(projects, key=lambda project: len(missing & {*combinations(project.items(), 2)}))
        missing -= {*combinations(best.items(), 2)}
        chosen.append(best)
    return chosen


def name_of(answers: dict[str, str]) -> str:
    return "-".join(answers.values())


PAIRS = each_pair()
for_each_pair = pytest.mark.parametrize("answers", PAIRS, ids=name_of)
every_second_weekly = pytest.mark.parametrize(
    "answers",
    [
        pytest.param(answers, marks=[pytest.mark.weekly] if number % 2 else [])
        for number, answers in enumerate(PAIRS)
    ],
    ids=name_of,
)


def read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def job_of(project: Path, ci: str) -> tuple[list[str], dict[str, str]]:
    """The commands of CI, and the variables that it sets; without CI, what the README says."""
    if ci == "github":
        job = read_yaml(project / GITHUB)["jobs"]["check"]
        return [step["run"] for step in job["steps"] if "run" in step], job["env"]
    if ci == "gitlab":
        job = read_yaml(project / GITLAB)["check"]
        return job["script"], job["variables"]
    variables = dict(
        line.split("=", 1)
        for line in (project / ".env").read_text(encoding="utf-8").replace("'", "").splitlines()
        if not line.startswith("#")
    )
    return prepared(checks_at_the_desk(project)), variables


def prepared(checks: list[str]) -> list[str]:
    """The commands that make these checks in a clean clone."""
    first = ["uv sync --locked", "uv run flask db prepare"]
    return first + [check if check.startswith("uv ") else f"uv run {check}" for check in checks]


def host_of(project: Path, ci: str) -> str:
    """Where the job finds the server that is started for it."""
    if ci == "gitlab":
        (service,) = read_yaml(project / GITLAB)["check"]["services"]
        return str(service["alias"])
    (service,) = read_yaml(project / GITHUB)["jobs"]["check"]["services"].values()
    return f"127.0.0.1:{service['ports'][0].partition(':')[0]}"


def on_real_server(url: str, request: pytest.FixtureRequest) -> str:
    """The same address, but on a server that is there, and of a database that nothing else uses."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url
    server: servers.Server = request.getfixturevalue(parsed.get_backend_name())
    admin = server.admin
    there = parsed.set(
        username=admin.username,
        password=admin.password,
        host=admin.host,
        port=admin.port,
        database=server.name_to_drop(),
    )
    return there.render_as_string(hide_password=False)


def clone_of(project: Project, user: User, variables: Mapping[str, str]) -> Project:
    """A clean clone of what was committed, beside these variables."""
    path = user.folder / ".clone"
    project.succeed("git", "clone", "--quiet", str(project.path), str(path))
    return Project(path, {**user.env, **variables})


def is_unanswered(audit: str) -> bool:
    """Whether the service that knows the vulnerabilities could not be asked."""
    return "error sending request for url (https://api.osv.dev" in audit


@pytest.mark.thorough
@every_second_weekly
def test_a_clean_clone_passes_each_command_of_ci(
    answers: dict[str, str],
    new_uri: Callable[[str], str],
    user: User,
    request: pytest.FixtureRequest,
) -> None:
    """With all lines and branches covered, and every warning an error."""
    user.env |= IDENTITY | {"SET_UP_STRICT": "1", "UV_HTTP_RETRIES": "3"}
    kind, ci = answers["database"], answers["ci"]
    options = [f"{name}={answer}" for name, answer in answers.items() if name != "database"]
    project = user.project(f"database_uri={new_uri(kind)}", *options)
    assert project.succeed("git", "status", "--porcelain") == ""
    commands, variables = job_of(project.path, ci)
    assert commands == prepared(checks_at_the_desk(project.path))
    if ci != "none" and kind != "sqlite":
        assert f"@{host_of(project.path, ci)}" in variables["DATABASE_URL"]
    commit = project.succeed("git", "rev-parse", "HEAD").strip()

    clone = clone_of(
        project,
        user,
        variables
        | {
            "DATABASE_URL": on_real_server(variables["DATABASE_URL"], request),
            "SECRET_KEY": re.sub(
                r"\$\{\{ github\.sha \}\}|\$CI_COMMIT_SHA", commit, variables["SECRET_KEY"]
            ),
        },
    )
    for command in commands:
        done = clone.run(*shlex.split(command))
        if not (command.startswith("uv audit") and is_unanswered(done.stdout)):
            assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert clone.succeed("git", "status", "--porcelain") == ""

    # What the generator imports when it runs, which is in development.
    ignored = f"DEP002={'|'.join(NEVER_IMPORTED)},DEP003=jinja2,DEP004=eralchemy|pluralizer"
    clone.succeed(
        *("uv", "run", "--with", "deptry"),
        *("deptry", "--per-rule-ignores", ignored, "src", "migrations"),
    )


@pytest.mark.thorough
@pytest.mark.parametrize("kind", servers.KINDS)
def test_no_package_has_a_known_vulnerability(bake: Bake, user: User, kind: str) -> None:
    project = Project(bake(database_uri=URIS[kind]), user.env | {"UV_HTTP_RETRIES": "1"})
    project.succeed("uv", "lock")

    done = project.run(*shlex.split(checks_at_the_desk(project.path)[-1]))

    if is_unanswered(done.stdout):
        pytest.skip("needs https://api.osv.dev, which knows the vulnerabilities")
    assert done.returncode == 0, done.stdout


@pytest.mark.thorough
def test_one_command_makes_all_checks_and_goes_on_after_a_failure(
    fresh_project: Project, user: User
) -> None:
    user.env["UV_HTTP_RETRIES"] = "0"
    project = fresh_project
    (project.path / "tests" / "test_other.py").write_text("import  os\n")

    done = project.run("uv", "run", "poe", "check")

    assert done.returncode != 0
    *checks, _ = checks_at_the_desk(project.path)
    assert re.findall(r"^Poe => (.*)$", done.stdout, re.MULTILINE)[: len(checks)] == checks
    failed = re.findall(r"'(.*?)'", done.stdout.splitlines()[-1])
    assert failed == ["ruff format --check", "ruff check"]


@pytest.mark.thorough
def test_without_a_network_the_check_that_was_not_made_is_named(
    fresh_project: Project, user: User
) -> None:
    user.env |= NO_NETWORK

    done = fresh_project.run("uv", "run", "poe", "audit")

    assert done.returncode == 0
    assert "Not checked: known vulnerabilities of the packages" in done.stdout


@pytest.mark.thorough
def test_the_hooks_of_git_need_no_network(user: User) -> None:
    user.env |= IDENTITY
    project = user.project()
    project = Project(project.path, user.env | NO_NETWORK)
    project.succeed("uv", "run", "prek", "install")
    file = project.path / "src" / "my_app" / "seeds.py"
    good = file.read_text()

    for bad, hook in (
        (good + "\n\n\n\n", "ruff format"),
        (good + "\n\nUNKNOWN = unknown\n", "ruff check"),
        (good + '\n\nNUMBER: int = "one"\n', "mypy"),
    ):
        file.write_text(bad)
        refused = project.run("git", "commit", "--all", "-m", "Bad")
        assert refused.returncode == 1
        assert re.search(rf"^{hook}\.+Failed$", refused.stdout, re.MULTILINE), refused.stdout
    file.write_text(good + '\n\nNUMBER = "one"\n')
    project.succeed("git", "commit", "--all", "-m", "Good")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", servers.KINDS)
def test_the_dev_container_prepares_the_project(
    kind: str,
    new_uri: Callable[[str], str],
    user: User,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    user.env |= IDENTITY
    project = user.project(f"database_uri={new_uri(kind)}")
    container = json.loads((project.path / ".devcontainer" / "devcontainer.json").read_text())
    variables = container["remoteEnv"]
    if kind != "sqlite":
        compose = read_yaml(project.path / ".devcontainer" / container["dockerComposeFile"])
        assert container["service"] in compose["services"]
        assert make_url(variables["DATABASE_URL"]).host in compose["services"]
    install, _, prepare = container["postCreateCommand"].partition(" && ")
    assert install == "pipx install uv"

    clone = clone_of(
        project,
        user,
        variables
        | {
            "DATABASE_URL": on_real_server(variables["DATABASE_URL"], request),
            "UV_PROJECT_ENVIRONMENT": str(tmp_path / ".venv"),
        },
    )
    assert "Seeded it." in clone.succeed(*shlex.split(prepare))
    assert clone.succeed("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("database", URIS)
def test_nothing_is_wrong_with_the_workflow(bake: Bake, database: str) -> None:
    project = bake(database_uri=URIS[database], ci="github")
    workflow = project / GITHUB

    assert actionlint(workflow) == []
    assert zizmor(project) == []
    schema_finds_nothing("github-workflows", workflow)
    text = workflow.read_text(encoding="utf-8")
    assert text.count("uses:") == len(re.findall(r"uses: [\w/-]+@[0-9a-f]{40} # v\d", text))
    assert read_yaml(workflow)["permissions"] == {"contents": "read"}
    assert "persist-credentials: false" in text


@pytest.mark.parametrize("database", URIS)
def test_nothing_is_wrong_with_the_pipeline_and_the_dev_container(
    bake: Bake, database: str
) -> None:
    project = bake(database_uri=URIS[database], ci="gitlab")

    schema_finds_nothing("gitlab-ci", project / GITLAB, options=["--data-transform=gitlab-ci"])
    json.loads((project / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    compose = project / ".devcontainer" / "compose.yaml"
    assert compose.exists() == (database in ("postgresql", "mysql", "mariadb"))
    if compose.exists():
        schema_finds_nothing("compose-spec", compose)


# What the set-up, the tools and the recipes of the project's README make.
MADE = re.compile(
    r"\.env|\.coverage|\.venv/.*|uv\.lock|(?:.*/)?migrations/.*|docs/schema\.md"
    r"|src/my_app/(?:jobs\.py|about/.*)|tests/test_(?:jobs|newest_notes|tables)\.py"
)
# Names with an ending that files have, and folders and hidden files between backquotes. An ending
# such as .json would be found in code, too.
NAME = re.compile(
    r"(?<![\w*])(?:[\w.-]+/)*[\w.-]*[\w]\.(?:cfg|css|html|ini|lock|mako|md|py|svg|toml|ya?ml)\b"
    r"|`(\.[\w./-]+|(?:src|tests)/[\w/]+/)`"
)


@for_each_pair
def test_no_file_names_one_that_is_not_there(bake: Bake, answers: dict[str, str]) -> None:
    options = {name: answer for name, answer in answers.items() if name != "database"}
    project = bake(database_uri=URIS[answers["database"]], **options)
    there = {f"/{path.relative_to(project)}" for path in project.rglob("*")}

    missing = [
        (str(path.relative_to(project)), name)
        for path in own_files(project)
        for found in NAME.finditer(re.sub(r"https?://\S+", "", path.read_text(encoding="utf-8")))
        if not MADE.fullmatch(name := found[1] or found[0])
        and not any(other.endswith(f"/{name.strip('/')}") for other in there)
    ]

    assert missing == []


@pytest.mark.parametrize("ci", CI)
def test_of_a_ci_that_was_not_chosen_there_is_no_trace(bake: Bake, ci: str) -> None:
    project = bake(ci=ci)
    others = "|".join(name for name in CI if name not in (ci, "none"))

    found = [
        (str(path.relative_to(project)), word)
        for path in own_files(project)
        for word in re.findall(
            rf"(?<!//)(?:{others})",
            f"{path.relative_to(project)} {path.read_text(encoding='utf-8')}",
            re.IGNORECASE,
        )
    ]
    assert found == []


def test_files_are_as_the_editor_configuration_says(bake: Bake) -> None:
    for path in own_files(bake()):
        text = path.read_bytes().decode("utf-8")
        assert text.endswith("\n"), path
        assert not re.search(r"\r|\t|[ ]$", text, re.MULTILINE), path
