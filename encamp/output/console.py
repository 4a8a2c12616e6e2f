"""The choice between live display and plain lines."""

from __future__ import annotations

from typing import TextIO

from encamp.output.listener import Listener
from encamp.output.plain import PlainLines
from encamp.output.terminal import has_live


def console(out: TextIO, check: bool, verbose: bool, brief: bool = False) -> Listener:
    """Live display on a terminal, plain lines elsewhere."""
    if has_live(out):
        from encamp.output.live import LiveConsole

        return LiveConsole(out, check, verbose, brief)
    return PlainLines(out, check, verbose, brief)
