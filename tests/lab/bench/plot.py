#!/usr/bin/env python3
"""Draw what a benchmark measured: bars of median seconds on a logarithmic scale.

python -m bench.plot .lab/bench.json docs/performance.svg
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.table import KINDS, TOOLS, Cell, Record

COLOURS = {"ssh": "#9aa0a6", "encamp": "#1a73e8", "pyinfra": "#f9ab00", "mitogen": "#8e63ce", "ansible": "#d93025"}
DECADES = (0.1, 1.0, 10.0, 100.0, 1000.0)
PANEL_WIDTH, PANEL_HEIGHT = 300, 200
LEFT, TOP, GAP = 60, 60, 60
BAR = 14
GROUP = BAR * len(TOOLS) + 18


def main() -> int:
    """Read the first file, write the second."""
    record = Record(Path(sys.argv[1]), keep=True)
    Path(sys.argv[2]).write_text("\n".join(picture(record)) + "\n", "utf-8")
    return 0


def picture(record: Record) -> Iterator[str]:
    """The lines of an SVG: a row of panels for each kind of deploy, a panel for each number of hosts."""
    counts = sorted({hosts for hosts, _ in record.cells})
    width = LEFT + len(counts) * (PANEL_WIDTH + GAP)
    height = TOP + len(KINDS) * (PANEL_HEIGHT + GAP + 20)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    for number, tool in enumerate(TOOLS):
        x = LEFT + number * 110
        yield f'<rect x="{x}" y="12" width="12" height="12" fill="{COLOURS[tool]}"/>'
        yield text(x + 18, 23, "bare ssh" if tool == "ssh" else tool, 13)
    for row, what in enumerate(KINDS):
        for column, hosts in enumerate(counts):
            x = LEFT + column * (PANEL_WIDTH + GAP)
            y = TOP + row * (PANEL_HEIGHT + GAP + 20)
            cells = [cell for cell in record.cells if cell[0] == hosts]
            yield from panel(record, cells, what, x, y)
    yield "</svg>"


def panel(record: Record, cells: list[Cell], what: str, x: int, y: int) -> Iterator[str]:
    """Bars for some distances."""
    hosts = cells[0][0]
    yield text(x, y - 8, f"{what}, {hosts} host{'s' if hosts > 1 else ''}: seconds", 13)
    for decade in DECADES:
        line = y + PANEL_HEIGHT - rise(decade)
        yield f'<line x1="{x}" x2="{x + PANEL_WIDTH}" y1="{line:.1f}" y2="{line:.1f}" stroke="#ddd"/>'
        yield text(x - 6, line + 4, f"{decade:g}", 11, "end")
    for number, cell in enumerate(cells):
        left = x + 10 + number * GROUP
        yield text(left + GROUP / 2 - 9, y + PANEL_HEIGHT + 16, f"+{cell[1]} ms", 11, "middle")
        for place, tool in enumerate(TOOLS):
            seconds = record.median(tool, cell, what)
            if seconds is not None:
                yield from bar(left + place * BAR, y + PANEL_HEIGHT, seconds, COLOURS[tool])


def bar(x: float, floor: float, seconds: float, colour: str) -> Iterator[str]:
    tall = rise(seconds)
    yield f'<rect x="{x}" y="{floor - tall:.1f}" width="{BAR - 2}" height="{tall:.1f}" fill="{colour}"/>'
    label = f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
    yield text(x + BAR / 2 - 1, floor - tall - 3, label, 9, "middle")


def rise(seconds: float) -> float:
    """Height of a value above the floor, which is the lowest decade."""
    span = math.log10(DECADES[-1] / DECADES[0])
    return max(0.0, math.log10(seconds / DECADES[0])) / span * PANEL_HEIGHT


def text(x: float, y: float, words: str, size: int, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="#202124">{words}</text>'


if __name__ == "__main__":
    sys.exit(main())
