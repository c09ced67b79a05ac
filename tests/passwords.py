"""A password that is easy to find, and the search for it."""

from __future__ import annotations

import zlib
from pathlib import Path
from urllib.parse import quote

PASSWORD = "S3cret:of/the#kind@that%isquoted"  # noqa: S105
QUOTED = quote(PASSWORD, safe="")
BEGINNING = "S3cret"  # of all forms


def files_with_the_password(*folders: Path) -> list[Path]:
    """Every file that holds the password in some form, the objects of git included."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if "objects" in path.parts and ".git" in path.parts and len(path.parent.name) == 2:
            content = zlib.decompress(content)
        if BEGINNING.encode() in content or BEGINNING in path.name:
            found.append(path)
    return found
