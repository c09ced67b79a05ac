"""A project has the license that was chosen, in its author's name, and says so in its metadata."""

from __future__ import annotations

import zipfile
from email import message_from_bytes
from pathlib import Path

import arrow
import pytest
from conftest import User
from pytest_cookies.plugin import Cookies

from answers import LICENSES

pytestmark = pytest.mark.quick

AUTHOR = 'Ada "Countess" O\'Hara \\ Été 日本'
YEAR = 2031
NOTICES = {
    "MIT": f"MIT License\n\nCopyright (c) {YEAR} {AUTHOR}\n\nPermission is hereby granted,",
    "BSD-3-Clause": f"BSD 3-Clause License\n\nCopyright (c) {YEAR} {AUTHOR}\n\nRedistribution and",
    "Apache-2.0": f"\n   Copyright {YEAR} {AUTHOR}\n\n   Licensed under the Apache License, Version",
    "none": f"Copyright (c) {YEAR} {AUTHOR}. All rights reserved.\n\nThis software is proprietary.",
}
# Of one license each.
WORDS = {
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
    "Apache-2.0": "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    "none": "All rights reserved",
}
EXPRESSIONS = dict(zip(LICENSES, LICENSES, strict=True)) | {"none": "LicenseRef-Proprietary"}


@pytest.fixture(params=LICENSES)
def chosen(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def licensed(chosen: str, cookies: Cookies, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with that license, made in another year than this."""
    monkeypatch.setattr(arrow, "now", lambda zone: arrow.Arrow(YEAR, 1, 1))
    answers = {"license": chosen, "author_name": AUTHOR, "set_up_now": "no"}
    result = cookies.bake(extra_context=answers)
    assert result.exception is None
    return Path(result.project_path)


def test_the_license_is_that_of_this_year_and_author(licensed: Path, chosen: str) -> None:
    text = (licensed / "LICENSE").read_text(encoding="utf-8")

    assert NOTICES[chosen] in text
    assert text.count(AUTHOR) == 1
    assert {name for name, words in WORDS.items() if words in text} == {chosen}
    assert text.endswith(".\n")


def test_the_metadata_names_the_license(licensed: Path, chosen: str, user: User) -> None:
    done = user.run("uv", "build", "--wheel", "--out-dir", str(user.folder), cwd=licensed)

    assert done.returncode == 0, done.stdout
    (wheel,) = user.folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = message_from_bytes(archive.read(name))
        (kept,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(kept) == (licensed / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == EXPRESSIONS[chosen]
    # The package index refuses what has this classifier.
    assert ("Private :: Do Not Upload" in metadata.get_all("Classifier", [])) is (chosen == "none")
