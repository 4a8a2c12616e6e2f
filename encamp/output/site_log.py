"""``fab logs`` for people: lines of all hosts in the order of time, with host and unit as columns."""

from __future__ import annotations

import datetime
import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from encamp.output.listener import Listener, Recap
from encamp.output.outcome import Outcome
from encamp.output.terminal import has_colours, painted, printable, report
from encamp.output.text import failure_lines
from encamp.transport.events import HostEvent

#: Seconds that a line is kept back while it is followed, so that an earlier one of another host can come before it.
HELD_BACK = 2.0
COLOURS = {"WARNING": "would", "ERROR": "failed", "CRITICAL": "failed", "DEBUG": "..."}


class SiteLog(Listener):
    """A listener that prints lines in the order in which they were written, whatever host they come from.

    ``last``: how many of the last ones (0: all). ``follow``: lines are printed as they come; otherwise at the end.
    """

    def __init__(self, out: TextIO, last: int = 0, follow: bool = False) -> None:
        self._out, self._last, self._follow = out, last, follow
        self._colours = has_colours(out)
        self._lock, self._numbers = threading.Lock(), itertools.count()
        #: (written, number, arrived, text, level) by the first two.
        self._kept: list[tuple[float, int, float, str, str]] = []
        self._width = 0
        self._ended = threading.Event()
        if follow:
            threading.Thread(target=self._print_as_they_come, daemon=True).start()

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] != "log":
            return
        now = time.monotonic()
        with self._lock:
            for when, unit, level, text in event["lines"]:
                self._width = max(self._width, len(host) + len(unit) + 2)
                line = f"{_stamp(when)}  {f'{host}  {unit}':<{self._width}}  {printable(text)}"
                heapq.heappush(self._kept, (when, next(self._numbers), now, line, level))

    def ended(self, outcome: Outcome) -> None:
        if outcome.failure:
            with self._lock:
                for line in failure_lines(outcome):
                    report(painted(line, "failed") if self._colours else line, self._out)

    def close(self, recap: Recap) -> None:
        self._ended.set()
        with self._lock:
            kept = list(self._sorted())
            for line, level in kept[-self._last :] if self._last and not self._follow else kept:
                self._print(line, level)

    def _sorted(self, until: float | None = None) -> Iterator[tuple[str, str]]:
        """The lines that have been kept, in their order; those that arrived after ``until`` wait."""
        while self._kept and (until is None or self._kept[0][2] <= until):
            _, _, _, line, level = heapq.heappop(self._kept)
            yield line, level

    def _print_as_they_come(self) -> None:
        while not self._ended.wait(0.2):
            with self._lock:
                for line, level in self._sorted(time.monotonic() - HELD_BACK):
                    self._print(line, level)

    def _print(self, line: str, level: str) -> None:
        word = COLOURS.get(level, "")
        report(painted(line, word) if self._colours and word else line, self._out)


def _stamp(when: float) -> str:
    """A time as this machine's clock would show it."""
    return datetime.datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
