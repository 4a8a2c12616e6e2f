"""Events for programs: one JSON object a line, described in docs/json-events.md. A line is whole or not there."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from encamp import __version__
from encamp.output.listener import Head, Listener, Recap, RunError
from encamp.output.outcome import Outcome, host_result, slowest
from encamp.output.terminal import report
from encamp.transport.events import EndedEvent, ErrorEvent, HostEvent, NamedHostResult, RecapEvent, RunEvent

#: Raised when a field changes its meaning or goes away; new events and fields may come without.
FORMAT = 1


def json_line(data: Mapping[str, Any]) -> bytes:
    """``data`` as a line of strict JSON, in ASCII: no NaN, no half of a surrogate pair, which most parsers refuse."""
    try:
        line = json.dumps(data, allow_nan=False)
    except ValueError:
        line = json.dumps(json.loads(json.dumps(data), parse_constant=str))
    if "\\ud" in line:
        line = json.dumps(json.loads(json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")))
    return line.encode("ascii") + b"\n"


class LineFile:
    """Appends lines to an open file descriptor. ``lost`` counts those that it did not take.

    A line that fits only in part (a full disk) is taken back; later ones are tried again, as there may be room.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._size = os.fstat(handle).st_size
        self._broken = False
        self.lost = 0
        self.problem = ""

    def append(self, line: bytes) -> None:
        """Write a line whole or not at all."""
        if self._broken:
            self.lost += 1
            return
        left = line
        try:
            while left:
                left = left[os.write(self._handle, left) :]
            self._size += len(line)
        except OSError as error:
            self.lost, self.problem = self.lost + 1, error.strerror or str(error)
            self._take_back()

    def _take_back(self) -> None:
        """Remove the incomplete line. Nothing more is written to what is not a file (a pipe)."""
        try:
            os.ftruncate(self._handle, self._size)
            os.lseek(self._handle, self._size, os.SEEK_SET)
        except OSError:
            self._broken = True

    def close(self) -> None:
        os.close(self._handle)


class JsonLines(Listener):
    """Every event as one JSON object per line. The first has the version of the format, the last is the recap.

    ``title`` is what a warning names when the file behind ``handle`` did not take all of them.
    """

    def __init__(self, handle: int, title: str) -> None:
        self._file, self._title = LineFile(handle), title
        self._lock = threading.Lock()
        self._closed = False

    def begin(self, head: Head) -> None:
        run: RunEvent = {
            "event": "run",
            "format": FORMAT,
            "encamp": __version__,
            "time": time.time(),
            "command": head.command,
            "inventory": head.inventory,
            "hosts": head.hosts,
            "check": head.check,
        }
        self._write(run)

    def event(self, host: str, event: HostEvent) -> None:
        self._write({"host": host, "time": time.time(), **event})

    def ended(self, outcome: Outcome) -> None:
        result = host_result(outcome)
        ended: EndedEvent = {"host": outcome.host, "time": time.time(), "event": "ended", **result}
        self._write(ended)

    def close(self, recap: Recap) -> None:
        if recap.error:
            self._write(_error_event(recap.error))
        last: RecapEvent = {
            "event": "recap",
            "time": time.time(),
            "exit_code": recap.code,
            "seconds": round(recap.seconds, 3),
            "lost_events": self._file.lost,
            "slowest": slowest(recap.outcomes),
            "hosts": [_named_result(outcome) for outcome in recap.outcomes],
        }
        self._write(last)
        with self._lock:
            self._closed = True
            self._file.close()
        if self._file.lost:
            problem = f"{self._file.problem}; {self._file.lost} events are missing"
            report(f"warning: {self._title}: {problem}", sys.stderr)

    def _write(self, data: Mapping[str, Any]) -> None:
        line = json_line(data)
        with self._lock:
            if not self._closed:
                self._file.append(line)


def _named_result(outcome: Outcome) -> NamedHostResult:
    return {"host": outcome.host, **host_result(outcome)}


def _error_event(error: RunError) -> ErrorEvent:
    return {
        "event": "error",
        "time": time.time(),
        "reason": error.reason,
        "cause": error.cause,
        "fix": error.fix,
        "where": error.where,
    }
