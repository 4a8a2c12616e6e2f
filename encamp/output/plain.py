"""Plain lines, for output that is not a terminal."""

from __future__ import annotations

import threading
from typing import TextIO

from encamp.output.listener import Listener, Recap
from encamp.output.outcome import Outcome
from encamp.output.recap import closing_lines
from encamp.output.terminal import has_colours, painted, report
from encamp.output.text import event_lines, event_word, failure_lines
from encamp.transport.events import HostEvent


class PlainLines(Listener):
    """One line per change; unchanged steps if ``verbose``. ``brief``: the recap lists only failures."""

    def __init__(self, out: TextIO, check: bool, verbose: bool = False, brief: bool = False) -> None:
        self._out, self._check, self._verbose, self._brief = out, check, verbose, brief
        self._colours = has_colours(out)
        self._lock = threading.Lock()

    def event(self, host: str, event: HostEvent) -> None:
        lines = event_lines(host, event, self._check, self._verbose)
        with self._lock:
            for number, line in enumerate(lines):
                self._report(line, "" if number else event_word(event, self._check))

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            for line in failure_lines(outcome):
                self._report(line, "failed")

    def close(self, recap: Recap) -> None:
        with self._lock:
            for line, word in closing_lines(recap, self._brief):
                self._report(line, word)

    def _report(self, line: str, word: str) -> None:
        report(painted(line, word) if self._colours else line, self._out)
