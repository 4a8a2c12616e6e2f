"""A recorded terminal as an SVG: what was on the screen, moment by moment, and nothing from elsewhere."""

from __future__ import annotations

import itertools
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))

from recording import Recording, Row, Size, record
from terminal_svg import CELL_HEIGHT, CELL_WIDTH, picture

SVG = "{http://www.w3.org/2000/svg}"
WRITTEN = (
    (0.0, b"$ program\r\n"),
    (0.1, b"\x1b[31mfirst\x1b[0m <&>   wide\r\nstep 1"),
    (1.0, b"\rstep 2"),
    (2.0, b"\rstep 3"),
    (3.0, b"\r\x1b[1mdone\x1b[0m  \r\n"),
)
RECORDING = Recording(Size(40, 6), WRITTEN, 0)
PROGRAM = 'import os, sys; print("on a terminal:", os.isatty(1), *os.get_terminal_size(1)); sys.exit(7)'


def lines(screen: tuple[Row, ...]) -> list[str]:
    return ["".join(cell.data for cell in row).rstrip() for row in screen]


def texts(svg: str) -> dict[str, ElementTree.Element]:
    return {element.text or "": element for element in ElementTree.fromstring(svg).iter(f"{SVG}text")}


def test_a_command_is_recorded_on_a_terminal_of_the_size_that_was_asked_for() -> None:
    recording = record("program", [sys.executable, "-c", PROGRAM], Size(40, 6), dict(os.environ))
    assert lines(recording.screens(10)[-1])[:2] == ["$ program", "on a terminal: True 40 6"]
    assert recording.status == 7


def test_screens_show_each_moment_and_the_end() -> None:
    shown = [lines(screen) for screen in RECORDING.screens(1000)]
    assert [screen[2] for screen in shown] == ["", "step 1", "step 2", "step 3", "done"]
    assert shown[-1] == ["$ program", "first <&>   wide", "done", "", "", ""]


def test_fewer_screens_than_moments_still_show_the_end() -> None:
    shown = [lines(screen)[2] for screen in RECORDING.screens(2)]
    assert shown == ["step 2", "done"]


def test_moments_that_look_alike_are_one() -> None:
    again = Recording(RECORDING.size, (*WRITTEN, (9.0, b"\x1b[A\r\x1b[1mdone\x1b[0m\r\n")), 0)
    screens = again.screens(1000)
    assert screens == RECORDING.screens(1000)
    assert all(earlier != later for earlier, later in itertools.pairwise(screens))


def test_picture_is_an_svg_with_the_text_its_colours_and_its_width() -> None:
    shown = texts(picture("a title", RECORDING.screens(1000)))
    assert {"a title", "first", "<&>   wide", "step 2", "done"} <= set(shown)
    assert [shown[text].get("class") for text in ("first", "done", "step 1")] == ["red", "b", None]
    assert float(shown["<&>   wide"].get("textLength", 0)) == CELL_WIDTH * len("<&>   wide")


def test_picture_without_motion_shows_the_last_screen() -> None:
    svg = picture("a title", RECORDING.screens(1000))
    drawn = [int(element.get("y", 0)) for element in ElementTree.fromstring(svg).iter(f"{SVG}use")]
    [rest] = re.findall(r"\.strip\{transform:translateY\(-(\d+)px\);animation", svg)
    assert "prefers-reduced-motion" in svg
    assert int(rest) == max(drawn) - 2 * CELL_HEIGHT  # the last screen's third line is the last that is drawn


def test_one_screen_does_not_move_and_nothing_comes_from_elsewhere() -> None:
    svg = picture("a title", RECORDING.screens(1000)[-1:])
    assert "animation" not in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
