"""Alembic's own tests of comparing, writing and changing tables, with what the extension adds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import alembic
import pytest
import servers
from conftest import PROJECT, SCRIPTS
from sqlalchemy import make_url

pytestmark = pytest.mark.thorough

FILES = [
    "batch",
    *(f"autogen_{it}" for it in "check_constraints composition diffs indexes render".split()),
]
# The tests that the extension fails on purpose: a pattern of their names, and why.
DIFFERENCES = {
    r"test_autogen_check_constraints.*(not_enabled|not_detected|disabled_via)": "the extension compares"
    " the names and texts of checks always; Alembic does only with a plugin, and names alone",
    r"test_autogen_(composition|diffs).*(test_render_diffs|test_diffs|test_compare_metadata)": "the"
    " models of these tests have a check whose text differs from that of the database",
    r"test_autogen_diffs.*InspectorCacheTest": "reading the checks takes one more query for a table",
    r"test_autogen_indexes.*test_expression_indexes_add": "on SQLite, Alembic never creates an index of"
    " an expression",
    r"test_batch.*refinteg": "on SQLite, a column is renamed in place, so no foreign key is broken",
    r"test_batch.*test_unnamed_check_constraint_warns": "on SQLite, the check is kept",
}


@pytest.fixture(scope="session")
def alembic_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the installed release."""
    folder = tmp_path_factory.mktemp("alembic")
    options = ["--quiet", "--no-deps", "--no-binary=alembic"]
    wanted = f"alembic=={alembic.__version__}"
    command = ["uv", "tool", "run", "pip", "download", *options, f"--dest={folder}", wanted]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={folder}"], check=True)
    return folder / f"alembic-{alembic.__version__}"


def failures(tests: Path, url: str, *options: str) -> set[str]:
    """Run the tests; return the names of those that fail."""
    kind = make_url(url).get_backend_name()
    files = [f"tests/test_{name}.py" for name in [*FILES, kind]]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rfE",
            "--tb=no",
            "-pno:xdist",
            "-pno:cacheprovider",
            f"--dburi={url}",
            *options,
            *files,
        ],
        cwd=tests,
        env=os.environ | {"PYTHONPATH": f"{SCRIPTS}:{PROJECT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 500
    return set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("kind", servers.KINDS)
def test_what_differs_from_alembic_is_known(
    alembic_tests: Path, kind: str, new_uri: Callable[[str], str]
) -> None:
    url = servers.driver_named(new_uri(kind)) if kind != "sqlite" else "sqlite:///:memory:"
    if kind == "postgresql":
        servers.execute(url, "CREATE SCHEMA test_schema")

    stock = failures(alembic_tests, url)
    ours = failures(alembic_tests, url, "-palembic_hooks")

    assert len(stock) < 5
    known = re.compile("|".join(DIFFERENCES))
    assert [name for name in sorted(ours - stock) if not known.search(name)] == []
