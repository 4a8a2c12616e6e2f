"""What a killed run left at work: its commands live on, and must end before the next run begins."""

from __future__ import annotations

import os
import time
from typing import Callable, Iterator

from encamp.resources.base import Failure

WAIT_SECONDS = 900.0
#: Index of the session's number among the fields of /proc/PID/stat that follow the program's name (proc(5)).
STATE, SESSION = 0, 3


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


def processes(session: int) -> Iterator[str]:
    """The live processes of a session as ``name (pid)``, without this one; none where there is no /proc."""
    if session == os.getsid(0):
        return
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                head, _, tail = stat.read().rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        if int(fields[SESSION]) == session and fields[STATE] not in "ZX":
            yield f"{head.partition('(')[2]} ({pid})"
