"""Processes of a killed run: its commands live on, and must end before the next run starts."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Callable, Iterator, NamedTuple

from encamp.resources.base import Failure

WAIT_SECONDS = 900.0
#: How long a command may take to exit after SIGTERM.
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

    An agent has its own session, so these are its children; services started by systemd are not in it.
    """
    deadline = time.monotonic() + seconds
    left = list(processes(session))
    if left:
        say(f"waiting for processes of an interrupted run: {', '.join(left)}")
    while left:
        if time.monotonic() > deadline:
            raise Failure(
                f"still running: {', '.join(left)}",
                "an interrupted run started it, and it has not ended since",
                "let it finish, or kill it (`kill PID`), then deploy again",
            )
        time.sleep(0.3)
        left = list(processes(session))


def terminate_tree(pid: int, seconds: float = PATIENCE_SECONDS) -> None:
    """Terminate a process and its descendants: SIGTERM, then SIGKILL. Without /proc: does nothing."""
    tree = _descendants(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        for member in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)
        while tree and time.monotonic() < deadline:
            time.sleep(0.1)
            tree &= {process.pid for process in _live_processes()}


def _descendants(pid: int) -> set[int]:
    """A process and its descendants."""
    parents = {process.pid: process.parent for process in _live_processes()}
    tree = {pid} & parents.keys()
    while True:
        more = {child for child, parent in parents.items() if parent in tree} - tree
        if not more:
            return tree
        tree |= more


def processes(session: int) -> Iterator[str]:
    """The live processes of a session as ``name (pid)``, without this one; none where there is no /proc."""
    if session != os.getsid(0):
        for process in _live_processes():
            if process.session == session:
                yield f"{process.name} ({process.pid})"


def _live_processes() -> Iterator[Process]:
    """All processes that have not exited."""
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                head, _, tail = stat.read().rpartition(")")
        except OSError:
            continue  # it has just exited
        fields = tail.split()
        if fields[STATE] not in "ZX":
            yield Process(int(pid), head.partition("(")[2], int(fields[PARENT]), int(fields[SESSION]))
