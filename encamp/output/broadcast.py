"""All listeners of one command as one: console, files for programs, the record. None can make a run fail."""

from __future__ import annotations

import copy
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from encamp.errors import EncampError, UsageError
from encamp.output import terminal
from encamp.output.history import RunLog
from encamp.output.json_lines import JsonLines
from encamp.output.listener import Head, Listener, Recap, RunError
from encamp.output.outcome import Outcome, exit_code
from encamp.support import interrupts
from encamp.transport.events import HostEvent


class ReportBroadcaster(Listener):
    """A context manager: however the command ends, every listener is closed with all outcomes.

    ``record``: the folder that keeps the record of runs; None: no record of this one. ``code`` is the exit code, once
    ``end`` has been called.
    """

    def __init__(self, command: str, check: bool, listeners: Sequence[Listener], record: Path | None) -> None:
        self._head = Head(command, check=check)
        self._listeners, self._record = list(listeners), record
        self._outcomes: list[Outcome] = []
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._begun = self._ended = False
        self.code = 0

    def __enter__(self) -> ReportBroadcaster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if error is None:
            self.end()
        elif isinstance(error, KeyboardInterrupt):
            self._close(130)
        elif isinstance(error, EncampError):
            origin = str(error.where) if error.where else ""
            self._close(error.exit_code, RunError(error.message, fix=error.fix, where=origin))
        else:
            self._close(1, RunError(f"{type(error).__name__}: {error}", "a bug in encamp"))

    def add(self, listener: Listener) -> None:
        """Add a listener; before ``start``."""
        self._listeners.append(listener)

    def start(self, inventory: str, hosts: Sequence[str], looks_only: bool = False) -> None:
        """The run is planned and valid: from here on it is recorded."""
        self._head = Head(self._head.command, inventory, tuple(hosts), self._head.check or looks_only)
        if self._record:
            self._open_record(self._record)
        self._begin()

    def _open_record(self, folder: Path) -> None:
        try:
            self._listeners.append(RunLog(self._head.command, folder))
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
            terminal.report(f"warning: this run is not recorded for fab history and --retry: {problem}", sys.stderr)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._each(lambda listener: listener.begin(self._head))

    def warn(self, host: str, warnings: Sequence[str]) -> None:
        """Report what was found about a host before it was touched, on standard error and to every listener."""
        for text in warnings:
            terminal.report(f"warning: {host}: {text}", sys.stderr)
            self.event(host, {"event": "warning", "text": text})

    def expect(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes += outcomes
        self._each(lambda listener: listener.expect(outcomes))

    def event(self, host: str, event: HostEvent) -> None:
        self._each(lambda listener: listener.event(host, event))

    def ended(self, outcome: Outcome) -> None:
        self._each(lambda listener: listener.ended(outcome))

    def end(self, want_exit_code: bool = False, otherwise: int = 0) -> int:
        """The hosts are done. Returns the exit code; ``otherwise`` is the one of a run in which nothing failed."""
        code = exit_code(self._outcomes, self._head.check, want_exit_code) or otherwise
        self._close(code)
        return code

    def _close(self, code: int, error: RunError | None = None) -> None:
        self._ended = True
        self.code = code
        with interrupts.ignored():
            self._begin()
            outcomes = [copy.copy(outcome) for outcome in self._outcomes]  # a thread may still stand in a connect
            recap = Recap(self._head, outcomes, code, time.monotonic() - self._started, error)
            self._each(lambda listener: listener.close(recap))

    def _each(self, do: Callable[[Listener], None]) -> None:
        """Call every listener. One that fails gets no further events, with a warning; the run continues."""
        for listener in list(self._listeners):
            try:
                do(listener)
            except Exception as error:
                with self._lock:
                    if listener in self._listeners:
                        self._listeners.remove(listener)
                        name = type(listener).__name__
                        terminal.report(
                            f"warning: {name} failed and gets no further events of this run: {error!r}", sys.stderr
                        )


def json_report(path: str, append: bool = False) -> JsonLines:
    """``--json FILE``; ``-`` is standard output, which then has nothing else: what is for people goes to stderr.

    ``append`` where an earlier run of the same command has started the file. Raises UsageError.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    try:
        handle = os.dup(take_stdout()) if path == "-" else os.open(path, flags, 0o600)
    except OSError as error:
        raise UsageError(f"--json {path}: {error.strerror}", "name a file in a directory that exists") from None
    return JsonLines(handle, f"--json {path}")


@functools.cache
def take_stdout() -> int:
    """Standard output as a descriptor of our own, the same one each time; what prints from now on reaches stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return private
