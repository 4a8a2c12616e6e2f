"""Screens of a terminal as an SVG that needs no font, script or image from elsewhere.

Several screens play one after the other. Where nothing moves (a reader that asks for less motion, a viewer without CSS
animations), the last one is shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from pyte.screens import Char
from recording import Row

FONT_SIZE, CELL_WIDTH, CELL_HEIGHT = 14, 8.4, 19
PADDING, TITLE_HEIGHT = 16, 36
FRAME_SECONDS, LAST_SECONDS = 0.4, 6.0
PAPER, INK, FRAME = "#10161f", "#d5dbe3", "#1c2531"
COLOURS = {
    "black": "#5c6773",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#f0f6fc",
}
STYLE = """text{{font:{size}px ui-monospace,"DejaVu Sans Mono","SF Mono",Menlo,Consolas,monospace;fill:{ink};\
white-space:pre}}.b{{font-weight:bold}}{colours}"""


def picture(title: str, screens: Sequence[Sequence[Row]]) -> str:
    """The text of an SVG file."""
    columns, lines = len(screens[0][0]), max(map(_used, screens))
    width, height = columns * CELL_WIDTH + 2 * PADDING, lines * CELL_HEIGHT
    rows = list(dict.fromkeys(row for screen in screens for row in screen[:lines]))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height + TITLE_HEIGHT + 2 * PADDING}" '
            f'role="img" aria-label={quoteattr(title)}>',
            f"<style>{_style(len(screens), height)}</style>",
            f"<defs>{''.join(_defined(number, row) for number, row in enumerate(rows))}</defs>",
            *_window(title, width, height + TITLE_HEIGHT + 2 * PADDING),
            f'<svg x="{PADDING}" y="{TITLE_HEIGHT + PADDING}" width="{columns * CELL_WIDTH:.0f}" height="{height}">',
            '<g class="strip">',
            *_strip(screens, {row: number for number, row in enumerate(rows)}, lines),
            "</g>",
            "</svg>",
            "</svg>",
            "",
        ]
    )


def _used(screen: Sequence[Row]) -> int:
    """How many lines of a screen there are down to the last that is not empty."""
    return max((y for y, row in enumerate(screen, 1) if any(cell.data.strip() for cell in row)), default=1)


def _style(count: int, height: int) -> str:
    colours = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    style = STYLE.format(size=FONT_SIZE, ink=INK, colours=colours)
    total = (count - 1) * FRAME_SECONDS + LAST_SECONDS
    stops = "".join(
        f"{number * FRAME_SECONDS / total:.3%}{{transform:translateY({-number * height}px)}}" for number in range(count)
    )
    last = f"transform:translateY({(1 - count) * height}px)"
    if count == 1:
        return style
    return (
        f"{style}.strip{{{last};animation:play {total:.1f}s steps(1,end) infinite}}@keyframes play{{{stops}"
        f"100%{{{last}}}}}@media (prefers-reduced-motion:reduce){{.strip{{animation:none}}}}"
    )


def _window(title: str, width: float, height: float) -> Iterator[str]:
    yield f'<rect width="{width:.0f}" height="{height}" rx="10" fill="{PAPER}"/>'
    corners = f"M0 {TITLE_HEIGHT}V10a10 10 0 0 1 10-10H{width - 10:.0f}a10 10 0 0 1 10 10V{TITLE_HEIGHT}z"
    yield f'<path d="{corners}" fill="{FRAME}"/>'
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        yield f'<circle cx="{20 + 20 * number}" cy="{TITLE_HEIGHT // 2}" r="6" fill="{colour}"/>'
    yield f'<text x="{width / 2:.0f}" y="{TITLE_HEIGHT // 2 + 5}" text-anchor="middle">{escape(title)}</text>'


def _defined(number: int, row: Row) -> str:
    """One line of text, to be used wherever a screen has it."""
    return f'<g id="r{number}">{"".join(_runs(row))}</g>'


def _runs(row: Row) -> Iterator[str]:
    """Cells that look alike, as one text that is as wide as they are in any font."""
    at = 0
    for look, cells in itertools.groupby(row, _look):
        text = "".join(cell.data for cell in cells)
        shown = text.rstrip()
        if shown:
            indent = len(shown) - len(shown.lstrip())
            words = shown.lstrip()
            classes = f' class="{look}"' if look else ""
            yield (
                f'<text x="{(at + indent) * CELL_WIDTH:.1f}" y="{FONT_SIZE}" textLength="{len(words) * CELL_WIDTH:.1f}"'
                f' lengthAdjust="spacingAndGlyphs" xml:space="preserve"{classes}>{escape(words)}</text>'
            )
        at += len(text)


def _look(cell: Char) -> str:
    """The classes of a cell."""
    colour = cell.fg.removeprefix("bright")
    return " ".join(([colour] if colour in COLOURS else []) + (["b"] if cell.bold else []))


def _strip(screens: Sequence[Sequence[Row]], numbers: dict[Row, int], lines: int) -> Iterator[str]:
    """All screens below each other; the animation moves them up, one at a time."""
    for number, screen in enumerate(screens):
        for y, row in enumerate(screen[:lines]):
            if any(cell.data.strip() for cell in row):
                yield f'<use href="#r{numbers[row]}" y="{(number * lines + y) * CELL_HEIGHT}"/>'
