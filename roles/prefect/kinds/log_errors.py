"""Errors that repeat in the log of a server or worker: a loop that fails does so again in each of its rounds."""

from __future__ import annotations

import re
import time
from typing import Iterable, Iterator, Optional

from encamp.resources.system import Reader
from encamp.resources.systemd.unit_state import unit_name, unit_state
from encamp.shared.record import record

LINES = 20000
TEXT = 240
#: Seconds within which an error that repeats comes again: most services have a round each minute.
RECENT = 180.0
#: Seconds between two occurrences: one failure is often logged twice, by a service and by what runs it.
APART = 2.0
#: Seconds for which an error that passes must go on to be one that does not, and in which it must come again each time.
GOES_ON, EACH = 900.0, 300.0
#: The beginning of a message, as Prefect (time | level | logger - text) and uvicorn (level: text) write it.
MESSAGE = re.compile(r"(?:\S+ \| (?P<level>[A-Z]+) *\| |(?P<plain>[A-Z]{4,8}): +)(?P<text>.*)")
LEVELS = ("ERROR", "CRITICAL")
#: What a worker logs of itself. Flows write to the same journal, with any logger, and a worker reports how the
#: processes of flows and of their hooks end (prefect/runner/_flow_run_executor.py, _hook_runner.py; in 2.x
#: infrastructure/process.py): not its own errors. Whether it can run flows at all, the verification's flow shows.
OF_WORKERS = re.compile(
    r"prefect\.(?!flow_runs|task_runs)"
    r"(?!\S+ - (?:Process\b.* exited with status code: |An error was encountered while running hook ))"
)
WORKER_UNIT = re.compile(r"prefect-(?:worker|agent)-")
#: The last line of a traceback.
RAISED = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Timeout|Group)(?::|$)")
STAMPED = re.compile(r"(?P<time>\d+\.\d+) \S+ [^:]+: ?(?P<text>.*)")
#: What differs between two of one kind: ids, addresses, numbers, times.
DIFFERING = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|0x[0-9a-f]+|\d+")
#: Errors that pass: a time-out of a host with too much to do; a database that is busy, or restarted, whose socket is
#: the missing file without a name; a server that is restarted, or a browser that is closed, as the other side sees it.
PASSING = re.compile(
    r"TimeoutError\b|Timeout:?$|CancelledError|database is locked"
    r"|FileNotFoundError: \[Errno 2\] No such file or directory$"
    r"|Connection ?(?:Refused|Reset|DoesNotExist)|[Cc]onnection (?:refused|is closed|was closed)"
    r"|All connection attempts failed|Server disconnected|HTTP 50[234]\b|'50[234] [A-Z]"
    r"|httpx\.\w+Error:?$|Failed to reach API|ConnectionClosed|ClientDisconnect|Broken pipe"
    r"|QueryCanceled|LockNotAvailable|DeadlockDetected"
    r"|Connect call failed|CannotConnectNow|AdminShutdown|terminating connection|database system is"
)


@record
class Repeated:
    """An error that came ``count`` times, by the ``text`` of its first. ``age``: seconds since the last.

    ``occurrences``: how often, where lines of one moment count once. ``span``: seconds from the first to the last.
    """

    text: str
    count: int
    age: float
    occurrences: int
    span: float

    @property
    def lasting(self) -> bool:
        """Whether it goes on: it came more than once and lately; and for long, where it is of a kind that passes."""
        if self.age >= RECENT or self.occurrences < 2:
            return False
        return not PASSING.search(self.text) or (self.span >= GOES_ON and self.occurrences > self.span / EACH)

    def __str__(self) -> str:
        return f"{self.count} times, last {self.age:.0f} s ago: {self.text}"


def repeated(host: Reader, unit: str) -> list[Repeated]:
    """The errors that ``unit`` has logged more than once since its last start, the most frequent first.

    Of a unit that has logged much: in its last LINES lines.
    """
    begun = time.time() - (time.monotonic() - unit_state(host, unit).begun)
    # Backwards: -n takes the last lines then. With --since, systemd 252 takes the first ones after that time.
    argv = ["journalctl", "-u", unit_name(unit), "--since", f"@{begun:.0f}", "--reverse", "-n", str(LINES)]
    found = host.query([*argv, "-o", "short-unix", "-q", "--no-pager"], timeout=15)
    stamped = (STAMPED.match(line) for line in reversed(found.out.splitlines()))
    lines = [(float(match["time"]), match["text"]) for match in stamped if match]
    return repeats(lines, time.time(), OF_WORKERS if WORKER_UNIT.match(unit) else None)


def repeats(lines: list[tuple[float, str]], now: float, loggers: Optional[re.Pattern[str]] = None) -> list[Repeated]:
    """The same, of ``lines`` with their times (seconds since the epoch); only those of ``loggers``, where given."""
    kinds: dict[str, tuple[str, list[float]]] = {}
    for then, text in _errors(lines, loggers):
        kinds.setdefault(DIFFERING.sub("#", text), (text[:TEXT], []))[1].append(then)
    found = [
        Repeated(text, len(times), now - times[-1], _occurrences(times), times[-1] - times[0])
        for text, times in kinds.values()
        if len(times) > 1
    ]
    return sorted(found, key=lambda error: -error.count)


def _occurrences(times: Iterable[float]) -> int:
    count, last = 0, float("-inf")
    for then in times:
        if then - last >= APART:
            count, last = count + 1, then
    return count


def _errors(lines: list[tuple[float, str]], loggers: Optional[re.Pattern[str]]) -> Iterator[tuple[float, str]]:
    """Each error's time and text: the last line of its traceback, where it has one, else its message."""
    current: Optional[tuple[float, str]] = None
    for then, text in lines:
        begin = MESSAGE.match(text)
        if begin:
            if current:
                yield current
            wrong = (begin["level"] or begin["plain"]) in LEVELS
            wrong = wrong and (loggers is None or bool(loggers.match(begin["text"])))
            current = (then, begin["text"]) if wrong else None
        elif current and RAISED.match(text):
            current = (current[0], text)
    if current:
        yield current
