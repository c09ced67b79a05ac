"""Finds what the set-up will miss on this machine, before somebody has answered questions."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence

TIMEOUT = 6  # seconds


def find_missing() -> Iterator[str]:
    """Return a sentence for each thing that is missing, with what follows from it."""
    git = shutil.which("git")
    if not git:
        yield "git is not installed: the project will have no repository."
    elif fails([git, "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"]):
        yield (
            "git does not know your name: the project will not be committed."
            " git config --global user.name and user.email set it."
        )
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        yield "uv is not installed: pip will download it."
    elif fails(
        [uv, "pip", "compile", "--no-deps", "-"],
        {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": str(TIMEOUT)},
        "flask-migrate",
    ):
        yield "uv can't reach the package index: without it, the packages will not be installed."


def fails(
    command: Sequence[str], environment: Mapping[str, str] | None = None, text: str = ""
) -> bool:
    """Run a command without its output, and return whether it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            input=text,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0
