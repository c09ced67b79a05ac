"""Does what a Dockerfile says without a container engine: the same steps, in folders of this machine.

The network, the base images and the users are those of this machine, and so is the cache of uv.
https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from conftest import run

# What the steps need of a base image, beside Python.
PROGRAMS = ["bash", "chmod", "install", "sh"]
# How this machine reaches the package index.
NETWORK = re.compile("SSL_CERT_.*|UV_(INDEX|DEFAULT_INDEX|SYSTEM_CERTS).*|.*_PROXY", re.IGNORECASE)


@dataclass(frozen=True)
class Image:
    """What a stage has come to: its files lie under `root`, which is / for the commands in it."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The working folder."""
        return self.within()

    def within(self, place: str = "") -> Path:
        """A place in the image, which may be relative to its working folder."""
        return self.root / Path(self.folder, place).relative_to("/")

    def here(self, text: str) -> str:
        """The text, with the folders of the image as they are named on this machine."""
        return re.sub(r"(?<![\w.])(?=/(app|root|usr/local)\b)", str(self.root), text)

    def shell(self) -> dict[str, str]:
        """The whole environment of a command: nothing of ours but what reaches the packages."""
        return {name: self.here(value) for name, value in self.environment.items()}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return run(command, cwd=self.path, env=self.shell() | variables)

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        env = self.shell() | variables
        program = shutil.which(command[0], path=env["PATH"])
        assert program, f"{command[0]} is not in the image"
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.path,
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )


def build(context: Path, folder: Path) -> Image:
    """Do the steps of the context's Dockerfile in this folder, and give its last stage.

    A stage is built at one and the same place, as in an engine, for a virtual environment can't be
    moved; only then it is put aside.
    """
    cache = subprocess.check_output(["uv", "cache", "dir"], encoding="utf-8").strip()
    stages: dict[str, Image] = {}
    image = Image(folder / "image")
    name = ""
    for instruction, rest in instructions(context / "Dockerfile"):
        if instruction == "FROM":
            if image.root.exists():
                stages[name] = put_aside(image, folder / "stages" / name)
            base, _, name = rest.partition(" AS ")
            image = begin(base, stages, Image(folder / "image"))
        elif instruction == "WORKDIR":
            image = replace(image, folder=str(Path(image.folder, rest)))
            image.path.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            copy(rest, context, stages, image)
        elif instruction == "ENV":
            new = dict(word.split("=", 1) for word in shlex.split(rest))
            new = {
                key: value.replace("$PATH", image.environment["PATH"]) for key, value in new.items()
            }
            image = replace(image, environment={**image.environment, **new})
        elif instruction == "RUN":
            # Only root can give a folder away.
            command = re.sub(r"--(mount|owner|group)=\S+ ", "", rest)
            env = {**image.shell(), "UV_CACHE_DIR": cache}
            done = run(["sh", "-c", image.here(command)], cwd=image.path, env=env)
            assert done.returncode == 0, f"{command}\n{done.stdout}"
        elif instruction == "USER":
            image = replace(image, user=rest)
        elif instruction == "CMD":
            image = replace(image, command=tuple(json.loads(rest)))
        elif instruction == "HEALTHCHECK":
            image = replace(image, health=tuple(json.loads(rest.partition(" CMD ")[2])))
        else:
            assert instruction == "EXPOSE", instruction
    return image


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """The lines, each as its first word and the rest; continued ones are joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in text.replace("\\\n", "").splitlines():
        if line:
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


def begin(base: str, stages: Mapping[str, Image], empty: Image) -> Image:
    """A new stage, from another one or from an image of others."""
    if base in stages:
        shutil.copytree(stages[base].root, empty.root, symlinks=True)
        return replace(stages[base], root=empty.root)
    programs = empty.root / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    if base.startswith("ghcr.io/astral-sh/uv:"):
        shutil.copy2(str(shutil.which("uv")), empty.root / "uv")
        return empty
    assert re.fullmatch(r"python:3\.\d+-slim", base)
    python = Path(sys.base_prefix) / "bin" / "python3"
    for name in ("python", "python3"):
        (programs / name).symlink_to(python)
    for name in PROGRAMS:
        (programs / name).symlink_to(str(shutil.which(name)))
    (empty.root / "root").mkdir()
    ours = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    environment = {**ours, "PATH": "/usr/local/bin", "HOME": "/root"}
    return replace(empty, environment=environment)


def put_aside(image: Image, folder: Path) -> Image:
    folder.parent.mkdir(exist_ok=True)
    image.root.rename(folder)
    return replace(image, root=folder)


def copy(rest: str, context: Path, stages: Mapping[str, Image], image: Image) -> None:
    options, *paths = re.fullmatch(r"((?:--\S+ )*)(.*)", rest).groups()  # type: ignore[union-attr]
    *sources, target = paths[0].split()
    folder = image.within(target)
    stage = re.search(r"--from=(\S+)", options)
    root = stages[stage[1]].root if stage else context
    ignored = () if stage else ignore_rules(context)
    for source in sources:
        path = root / source.lstrip("/")
        for file in [path, *sorted(path.rglob("*"))]:
            to = folder / (file.relative_to(path) if path.is_dir() else file.name)
            if ignored and is_ignored(file.relative_to(root), ignored):
                continue
            if file.is_dir() and not file.is_symlink():
                to.mkdir(parents=True, exist_ok=True)
            else:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, to, follow_symlinks=False)


def ignore_rules(context: Path) -> tuple[str, ...]:
    lines = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def is_ignored(path: Path, rules: tuple[str, ...]) -> bool:
    """The last rule that fits the path, or a folder that it is in, decides.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    if path == Path():
        return False
    ignored = False
    for rule in rules:
        pattern = re.escape(rule.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(pattern, str(part)) for part in (path, *path.parents[:-1])):
            ignored = not rule.startswith("!")
    return ignored
