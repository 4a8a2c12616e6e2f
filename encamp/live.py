"""The live console: on a terminal, one status line a host below the lines that stay."""

from __future__ import annotations

import threading
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from encamp.report import Outcome, event_lines, failure_lines

STYLES = {"changed": "yellow", "would": "yellow", "note": "cyan", "unknown": "magenta", "...": "dim", "ok": "green"}


class LiveConsole:
    """Changes and failures scroll by; below them each host's step in progress and its elapsed time."""

    def __init__(self, check: bool, verbose: bool, console: Console | None = None) -> None:
        self._check, self._verbose = check, verbose
        self._console = console or Console(highlight=False)
        self._steps: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = Live(self._table(), console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for host, step in self._steps.items():
            table.add_row(Text(host, style="bold"), Text(step, style="dim"))
        return table

    def event(self, host: str, event: dict[str, Any]) -> None:
        with self._lock:
            if event["event"] == "start":
                self._steps[host] = event["step"]
            elif event["event"] == "progress":
                self._steps[host] = event["text"]
            for line in event_lines(host, event, self._check, self._verbose):
                word = line.removeprefix(host).split(maxsplit=1)[0] if line.startswith(host) else ""
                if word != "...":
                    self._console.print(Text(line, style=STYLES.get(word, "")), soft_wrap=True)
            self._live.update(self._table())

    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            self._steps.pop(outcome.host, None)
            for line in failure_lines(outcome) if outcome.failure else []:
                self._console.print(Text(line, style="red"), soft_wrap=True)
            self._live.update(self._table())

    def close(self) -> None:
        self._live.stop()
