"""Draws what a terminal showed as an animated SVG, which ends with a picture."""

from __future__ import annotations

import base64
import re
import time
from html import escape
from pathlib import Path

import pexpect

ROWS, COLUMNS = 26, 96
LINE_HEIGHT, CHARACTER_WIDTH = 18, 8.4  # pixels
MAX_PAUSE = 0.7  # seconds; the rest of a longer one is left out
MARGIN = 16

Line = tuple[float, str]  # the seconds since the start, and the text


def read_lines(terminal: pexpect.spawn[str], answers: list[str]) -> list[Line]:
    """Type an answer at each prompt, and return the lines that the terminal shows in the end."""
    chunks: list[Line] = []
    start = time.monotonic()
    for answer in answers:
        terminal.expect_exact("): ")
        chunks.append((time.monotonic() - start, f"{terminal.before}): "))
        terminal.sendline(answer)
    while terminal.expect(["\n", pexpect.EOF]) == 0:
        chunks.append((time.monotonic() - start, f"{terminal.before}\n"))
    lines: list[Line] = []
    text = ""
    for moment, chunk in chunks:
        *whole, text = (text + re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", chunk)).split("\n")
        lines += [(moment, line.rstrip("\r").rpartition("\r")[2]) for line in whole]
    return lines


def draw(lines: list[Line], picture: Path) -> str:
    """Return an SVG in which the lines appear one after the other, and then the picture."""
    width, height = round(COLUMNS * CHARACTER_WIDTH) + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN
    moment, before = 0.3, 0.0
    texts, frames = [], []
    row = 0
    for at, text in lines:
        moment += min(at - before, MAX_PAUSE)
        before = at
        mark = ' class="done"' if "✓" in text else ""
        texts.append(f'<text{mark} style="animation-delay:{moment:.2f}s">')
        for start in range(0, max(len(text), 1), COLUMNS):
            row += 1
            part = escape(text[start : start + COLUMNS])
            texts[-1] += f'<tspan x="{MARGIN}" y="{MARGIN + row * LINE_HEIGHT - 5}">{part}</tspan>'
        texts[-1] += "</text>"
        if row > ROWS:
            frames.append((moment, (ROWS - row) * LINE_HEIGHT))
    end = moment + 1.5
    steps = "".join(
        f"{100 * at / end:.2f}%{{transform:translateY({y}px)}}" for at, y in [(0.0, 0), *frames]
    )
    last = frames[-1][1] if frames else 0
    encoded = base64.b64encode(picture.read_bytes()).decode()
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
text {{ font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e4e4e7;
  white-space: pre; opacity: 0; animation: show 1ms both; }}
text.done {{ fill: #86efac; }}
#lines {{ animation: scroll {end:.2f}s step-end both; }}
#page {{ opacity: 0; animation: show .6s {end:.2f}s both; }}
@keyframes show {{ to {{ opacity: 1; }} }}
@keyframes scroll {{ {steps}100%{{transform:translateY({last}px)}} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#18181b"/>
<svg x="0" y="{MARGIN}" width="{width}" height="{height - 2 * MARGIN}">
<g transform="translate(0 -{MARGIN})"><g id="lines">
{chr(10).join(texts)}
</g></g>
</svg>
<image id="page" width="{width}" height="{height}" preserveAspectRatio="xMidYMin slice"
  href="data:image/png;base64,{encoded}"/>
</svg>
"""
