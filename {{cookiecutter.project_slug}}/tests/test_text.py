"""The text of visitors is cleaned, or refused."""

from __future__ import annotations

import pytest

from {{ cookiecutter.project_slug }}.text import clean_lines, clean_text


@pytest.mark.parametrize("text", ["\0", "a\x1bb", "\ud800", "two\nlines"])
def test_what_is_no_plain_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        clean_text(text)


def test_texts_are_cleaned() -> None:
    assert clean_text(None) == clean_text("  ") == ""
    assert clean_lines(" a\r\nb\tc ") == "a\nb\tc"
