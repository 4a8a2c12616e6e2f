"""What a killed run left at work: its commands live on, and must end before the next run begins."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, Iterator, NamedTuple

from encamp.resources.base import Failure

WAIT_SECONDS = 900.0
#: How long a command that is to end has for putting things in order.
PATIENCE_SECONDS = 5.0
#: Indexes among the fields of /proc/PID/stat that follow the program's name (proc(5)).
STATE, PARENT, SESSION = 0, 1, 3


class Process(NamedTuple):
    """A live process, with its parent's and its session's number."""

    pid: int
    name: str
    parent: int
    session: int


def wait_until_gone(session: int, say: Callable[[str], None], seconds: float = WAIT_SECONDS) -> None:
    """Wait for every process of a session whose agent is dead. Raises Failure when they do not end.

    An agent has a session of its own, so this is what it started; services that it had systemd start are not in it.
    """
    deadline = time.monotonic() + seconds
    found = list(processes(session))
    if found:
        say(f"waiting for what a run that was cut off left at work: {', '.join(found)}")
    while found:
        if time.monotonic() > deadline:
            raise Failure(
                f"still at work: {', '.join(found)}",
                "a run that was cut off started it, and it has not ended since",
                "let it end, or end it yourself (`kill PID`), then deploy again",
            )
        time.sleep(0.3)
        found = list(processes(session))


def end_below(pid: int, seconds: float = PATIENCE_SECONDS) -> None:
    """End a process and all that came of it, first kindly. Where there is no /proc: nothing."""
    family = _family(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        for one in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)
        while family and time.monotonic() < deadline:
            time.sleep(0.1)
            family &= {one.pid for one in _alive()}


def _family(pid: int) -> set[int]:
    """A process and its descendants."""
    parents = {one.pid: one.parent for one in _alive()}
    family = {pid} & parents.keys()
    while True:
        more = {one for one, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more


def processes(session: int) -> Iterator[str]:
    """The live processes of a session as ``name (pid)``, without this one; none where there is no /proc."""
    if session != os.getsid(0):
        for one in _alive():
            if one.session == session:
                yield f"{one.name} ({one.pid})"


def _alive() -> Iterator[Process]:
    """All processes that are not over."""
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                head, _, tail = stat.read().rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        if fields[STATE] not in "ZX":
            yield Process(int(pid), head.partition("(")[2], int(fields[PARENT]), int(fields[SESSION]))
