"""The extension can be built from this repository, and installed in each usual way."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import PROJECT, TEMPLATE

pytestmark = pytest.mark.thorough

SOURCE = PROJECT / "src" / "flask_safe_migrations"
USE = """
from importlib.metadata import entry_points, version
from importlib.resources import files

import flask_safe_migrations
from flask import Flask
from flask_safe_migrations.cli import db

assert {"SafeMigrate", "prepare", "run_environment"} <= vars(flask_safe_migrations).keys()
assert version("flask-safe-migrations")
assert (files("flask_safe_migrations") / "py.typed").is_file()
(command,) = [
    it for it in entry_points(group="flask.commands") if "safe" in it.value
]
assert (command.name, command.load()) == ("db", db)
print(flask_safe_migrations.__file__)
"""


def source_files() -> set[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."]
    names = subprocess.check_output(listed, cwd=SOURCE, text=True).splitlines()
    files = {f"flask_safe_migrations/{name}" for name in names if (SOURCE / name).exists()}
    folders = {name.split("/")[1] for name in files if name.count("/") > 1}
    assert folders == {"environment", "init", "static", "templates"}
    assert "flask_safe_migrations/py.typed" in files
    return files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built of it."""
    folder = tmp_path_factory.mktemp("built")
    command = ["uv", "build", "--quiet", "--out-dir", str(folder), str(TEMPLATE)]
    subprocess.run(command, check=True)
    return folder


def test_the_wheel_has_the_extension_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        (entry_points,) = [name for name in file.namelist() if name.endswith("entry_points.txt")]
        expected = "[flask.commands]\ndb = flask_safe_migrations.cli:db\n"
        assert file.read(entry_points).decode().strip() == expected.strip()

    assert names == source_files()


def test_the_sdist_has_the_extension_and_what_builds_it(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}

    prefix = "{{cookiecutter.project_slug}}/src/"
    extension = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    others = {name for name in names if not name.startswith(prefix)}
    assert extension == source_files()
    assert others == {"pyproject.toml", "LICENSE", "PKG-INFO", "docs/extension.md", ".gitignore"}


@pytest.mark.parametrize("way", ["wheel", "sdist", "editable", "git"])
def test_it_installs_and_works(way: str, built: Path, repository: Path, tmp_path: Path) -> None:
    arguments = {
        "wheel": [str(next(built.glob("*.whl")))],
        "sdist": [str(next(built.glob("*.tar.gz")))],
        "editable": ["--editable", str(repository)],
        "git": [f"git+file://{repository}"],
    }[way]
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env |= {"VIRTUAL_ENV": str(tmp_path / "venv")}
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")],
        ["pip", "install", "--quiet", *arguments, "flask-sqlalchemy"],
    ):
        subprocess.run(["uv", *command], cwd=tmp_path, env=env, check=True)
    python = tmp_path / "venv" / "bin" / "python"

    output = subprocess.check_output([python, "-c", USE], cwd=tmp_path, text=True)
    assert output.startswith(str(repository if way == "editable" else tmp_path / "venv"))

    # Without ruff, squawk and a driver: what an application needs is there.
    (tmp_path / "app.py").write_text(
        "from flask import Flask\nfrom flask_safe_migrations import SafeMigrate\n"
        "from flask_sqlalchemy import SQLAlchemy\n\napp = Flask(__name__)\n"
        "app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///app.db'\ndb = SQLAlchemy(app)\n"
        "SafeMigrate(app, db)\n\n\nclass Note(db.Model):\n"
        "    id = db.Column(db.Integer, primary_key=True)\n"
    )
    for arguments in (["init"], ["migrate", "-m", "first"], ["prepare"], ["check"], ["lint"]):
        command = [str(python), "-W", "error", "-m", "flask", "db", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
