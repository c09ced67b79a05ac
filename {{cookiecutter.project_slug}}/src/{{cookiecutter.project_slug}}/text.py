"""Cleans the text that people and programs send."""

import re
from functools import partial

# PostgreSQL can't store NUL, and no database a lone surrogate. The others are invisible.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def clean_text(text: str | None, *, multiline: bool = False) -> str:
    """Strip a text. Raise ValueError for control characters; multiline allows tabs and newlines."""
    text = (text or "").replace("\r\n", "\n").strip()
    if CONTROL_CHARACTERS.search(text) or (not multiline and ("\n" in text or "\t" in text)):
        raise ValueError("Remove the control characters.")
    return text


clean_lines = partial(clean_text, multiline=True)
