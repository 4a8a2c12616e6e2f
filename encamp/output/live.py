"""The live console: on a terminal, lines that stay scroll by, and below them stands what each host is doing.

Nothing but ASCII is drawn, so that it looks the same in every locale; the cursor is never hidden, so that even a killed
run leaves a usable terminal.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.text import Text

from encamp.output.listener import Listener, Recap
from encamp.output.outcome import NOT_REACHED, Outcome
from encamp.output.recap import ENDS, closing_lines
from encamp.output.terminal import COLOURS, printable
from encamp.output.text import event_lines, event_word, failure_lines
from encamp.transport.events import HostEvent

BAR_WIDTH = 20
#: Lines of the terminal that are left to what scrolls by.
LINES_LEFT = 3
REFRESH_PER_SECOND = 5


class SteadyConsole(Console):
    """A console whose cursor is always seen."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


@dataclasses.dataclass
class Row:
    """A host at work. ``done`` of ``total`` is how far the step at hand is, where that is known (bytes, packages)."""

    host: str
    began: float
    steps: int = 0
    number: int = 0
    text: str = "connecting"
    done: float = 0
    total: float = 0

    def line(self, width: int, now: float) -> Text:
        """The host's line, cut to the width: name, steps started, time, bar, current step."""
        text = Text(no_wrap=True, overflow="crop")
        text.append(f"{self.host:<{width}}", "bold")
        text.append(f"  {self.number:>{len(str(self.steps))}}/{self.steps}  {clock(now - self.began)}  ")
        if self.total:
            text.append(f"{bar(self.done, self.total)}  ", "cyan")
        text.append(printable(self.text), "dim")
        return text


class LiveConsole(Listener):
    """Changes and failures scroll by; below them each host's step in progress, its time, and a bar for long work."""

    def __init__(
        self, out: TextIO, check: bool, verbose: bool = False, brief: bool = False, console: Console | None = None
    ) -> None:
        self._check, self._verbose, self._brief = check, verbose, brief
        self._console = console or SteadyConsole(file=out, highlight=False)
        self._rows: dict[str, Row] = {}
        self._outcomes: list[Outcome] = []
        self._lock = threading.RLock()
        self._live = Live(
            get_renderable=self._shown,
            console=self._console,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def expect(self, outcomes: Sequence[Outcome]) -> None:
        """Start drawing: before this, passwords may be asked for."""
        with self._lock:
            self._outcomes += outcomes
        self._live.start()

    def event(self, host: str, event: HostEvent) -> None:
        with self._lock:
            self._follow(host, event)
            word = event_word(event, self._check)
            if word != "...":
                self._print(event_lines(host, event, self._check, self._verbose), word)

    def _follow(self, host: str, event: HostEvent) -> None:
        """Keep what is shown of a host that is at work."""
        if event["event"] == "connect":
            self._rows[host] = Row(host, time.monotonic(), event["steps"])
        row = self._rows.get(host)
        if row is None:
            return
        if event["event"] == "start":
            row.number = max(row.number, event["number"] + 1)
            row.text, row.done, row.total = event["step"], 0, 0
        elif event["event"] == "progress":
            row.text, row.done, row.total = event["text"] or row.text, 0, 0
        elif event["event"] == "measure":
            row.text, row.done, row.total = event["text"] or row.text, event["done"], event["total"]

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            self._rows.pop(outcome.host, None)
            lines = failure_lines(outcome)
            self._print(lines, "failed", alike=len(lines))

    def close(self, recap: Recap) -> None:
        with self._lock:
            self._rows.clear()
        self._live.stop()
        for line, word in closing_lines(recap, self._brief):
            self._print([line], word)

    def _print(self, lines: Sequence[str], word: str, alike: int = 1) -> None:
        """Print lines that stay; the first ``alike`` of them in the colour of ``word``."""
        for number, line in enumerate(lines):
            style = COLOURS[word][1] if word in COLOURS and number < alike else ""
            self._console.print(Text(line, style), soft_wrap=True)

    def _shown(self) -> ConsoleRenderable:
        """What stands below the lines: hosts at work, the longest first, as many as there is room for, and the sum."""
        with self._lock:
            rows, now = list(self._rows.values()), time.monotonic()
            room = max(1, self._console.size.height - LINES_LEFT)
            width = max((len(row.host) for row in rows), default=0)
            lines = [row.line(width, now) for row in rows[:room]]
            if len(self._outcomes) > 1:
                lines.append(Text(self._sum(len(rows)), "dim", no_wrap=True, overflow="crop"))
            return Group(*lines)

    def _sum(self, at_work: int) -> str:
        """How many hosts stand where: ``12 at work, 30 ok, 2 failed, 156 waiting``."""
        ended = Counter(outcome.label for outcome in self._outcomes if outcome.host not in self._rows)
        waiting = ended.pop(NOT_REACHED, 0)
        words = [(at_work, "at work"), *((ended[end], end) for end in ENDS), (waiting, "waiting")]
        return ", ".join(f"{count} {word}" for count, word in words if count)


def bar(done: float, total: float) -> str:
    """``[########............]  40%``."""
    share = min(1.0, max(0.0, done / total))
    full = int(share * BAR_WIDTH)
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}] {share:>4.0%}"


def clock(seconds: float) -> str:
    """``0:07``, ``12:34``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
