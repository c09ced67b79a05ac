"""Follows the recipes of a page: does what their blocks say, and compares what is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from conftest import TEMPLATE, Project

Sections = dict[str, list[tuple[str, str]]]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections_of(page: Path) -> Sections:
    """Return the blocks of each section of a page: (language, text)."""
    parts = re.split(r"^##+ ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        title: BLOCK.findall(rest) for title, _, rest in (part.partition("\n") for part in parts)
    }


SECTIONS = sections_of(TEMPLATE / "docs" / "migrations.md")


def follow(project: Project, title: str, sections: Sections = SECTIONS) -> Iterator[str]:
    """Do what the blocks of a section say, and yield the output of each command.

    A block of text is what the command before it prints. If it begins with "Error", the command fails.
    """
    blocks = sections[title]
    for number, (language, block) in enumerate(blocks):
        if language == "sh":
            following, expected = [*blocks, ("", "")][number + 1]
            quoted = expected if following == "text" else ""
            done = project.run("bash", "-euo", "pipefail", "-c", block)
            assert done.returncode == quoted.startswith("Error"), f"{block}\n{done.stdout}"
            assert "Traceback" not in done.stdout
            assert re.search(pattern(quoted), " ".join(done.stdout.split())), done.stdout
            yield done.stdout
        elif language == "diff":
            edit(project, block)
        elif language == "python":
            write(project, block)
        else:
            assert language == "text"
            assert blocks[number - 1][0] == "sh"


def finish(project: Project, *titles: str, sections: Sections = SECTIONS) -> str:
    """Follow sections to their end, and return what all their commands printed."""
    return "\n".join(output for title in titles for output in follow(project, title, sections))


def pattern(quoted: str) -> str:
    """Return a pattern for a quoted text, which may be wrapped and have gaps, written "…"."""
    return ".*?".join(re.escape(part) for part in " ".join(quoted.split()).split("…"))


def edit(project: Project, block: str) -> None:
    """Replace the lines of a file that have a minus by those that have a plus."""
    name, *lines = block.splitlines()
    assert {line[0] for line in lines} <= set(" +-")
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
    file = name.removeprefix("# ")
    assert (project.path / file).read_text(encoding="utf-8").count(old) == 1, block
    project.replace(file, old, new)


def write(project: Project, block: str) -> None:
    """Write a new file, or the body of a revision into its file."""
    name, _, code = block.partition("\n")
    name = name.removeprefix("# ")
    if name.startswith("migrations/"):
        (path,) = project.path.glob(name)
        before = path.read_text(encoding="utf-8").partition("def upgrade")[0]
        path.write_text(before + code, encoding="utf-8")
    else:
        path = project.path / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
