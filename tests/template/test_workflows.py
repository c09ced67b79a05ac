"""The template's own workflows and forms: nothing is wrong with them, and they run what they claim to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from actions import actionlint, schema_finds_nothing, zizmor
from conftest import TEMPLATE, User

from answers import INTERFACES

pytestmark = pytest.mark.quick

GITHUB = TEMPLATE / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
SCHEMAS = {
    "workflows/*.yml": "github-workflows",
    "ISSUE_TEMPLATE/[!c]*.yml": "github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "github-issue-config",
    "dependabot.yml": "dependabot",
}
BAD = "on: push\njobs:\n  check:\n    runs-on: somewhere\n    steps:\n      - uses: actions/checkout@v7\n"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    workflow = tmp_path / ".github" / "workflows" / "bad.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(BAD)
    return workflow


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(workflow: Path) -> None:
    assert actionlint(workflow) == []


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, GITHUB / "dependabot.yml"], ids=lambda path: path.name
)
def test_zizmor_finds_nothing(path: Path) -> None:
    assert zizmor(path) == []


def test_they_would_find_something(bad: Path) -> None:
    assert any("somewhere" in found for found in actionlint(bad))
    assert {"artipacked", "unpinned-uses"} <= set(zizmor(bad))


@pytest.mark.parametrize(("files", "schema"), SCHEMAS.items())
def test_each_file_is_as_github_expects_it(files: str, schema: str) -> None:
    schema_finds_nothing(schema, *GITHUB.glob(files))


def test_each_file_has_a_schema() -> None:
    known = {path for files in SCHEMAS for path in GITHUB.glob(files)}

    assert {path for path in GITHUB.rglob("*") if path.is_file()} == known


def test_each_action_is_pinned_and_says_its_version() -> None:
    for workflow in WORKFLOWS:
        for action in re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)*|\./.*", action), action


def test_the_tests_that_workflows_choose_exist(user: User) -> None:
    text = (GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8")
    ((file, chosen),) = re.findall(r'pytest -m "" (\S+) -k "(.*)"', text)

    collect = ["pytest", "-q", "-n0", "-m", "", "--collect-only", file, "-k", chosen]
    done = user.run(*collect, cwd=TEMPLATE)

    names = re.findall(r"\[(.*)\]", done.stdout)
    assert all(name.startswith("sqlite-") for name in names)
    assert all(any(interface in name for name in names) for interface in INTERFACES)


@pytest.mark.parametrize("known", ["", "7"])
def test_a_weekly_run_that_fails_opens_one_issue(known: str, user: User, tmp_path: Path) -> None:
    jobs = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    report = jobs.pop("report")
    assert set(report["needs"]) == set(jobs)
    assert report["if"] == "failure() && github.event_name == 'schedule'"
    (step,) = report["steps"]
    # As GitHub's own program, which needs GitHub.
    (tmp_path / "gh").write_text(
        f'#!/bin/sh\necho "$2 $3 $4" >> {tmp_path}/log\n[ $2 != list ] || echo "{known}"\n'
    )
    (tmp_path / "gh").chmod(0o755)
    user.env |= {
        "PATH": f"{tmp_path}:{user.env['PATH']}",
        "RUN": "https://run",
        "TITLE": "It fails",
    }

    done = user.run("bash", "-e", "-o", "pipefail", "-c", step["run"])

    assert done.returncode == 0, done.stdout
    written = (tmp_path / "log").read_text().splitlines()[-1]
    assert written == ("comment 7 --body" if known else "create --title It fails")
