"""Prefetching checks: those that mostly wait, for a child process or a server, start before their turn, in threads.
While the loop waits for one of them it runs the next of the others.

A check only reads, so its result holds until something changes. The loop still takes steps in order, one by one, and
finds results ready. Only "nothing to change" is used: any other check is repeated in its turn. Before the first change
all prefetched results are dropped.
"""

from __future__ import annotations

import collections
import sys
import threading
from typing import Any, Optional, Sequence

from encamp.agent.system import Host
from encamp.shared.wire import from_wire

THREADS = 6
#: Seconds after which a busy thread yields to one whose result has arrived.
SWITCH_SECONDS = 0.001


class PendingCheck:
    """One check: whether it found nothing to change, and the messages it would send."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.unchanged = False
        self.messages: list[Any] = []


class Prefetcher:
    """Checks of a job's steps, run before their turn. The plan marks those that wait with ``ahead``."""

    def __init__(self, host: Host, steps: Sequence[dict[str, Any]]) -> None:
        self._host, self._steps = host, steps
        numbers = [n for n, step in enumerate(steps) if "resource" in step and not step.get("when_changed")]
        self._checks = {number: PendingCheck() for number in numbers}
        self._waiting = collections.deque(number for number in numbers if steps[number].get("ahead"))
        self._quick = collections.deque(number for number in numbers if not steps[number].get("ahead"))
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the checks that wait."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for _ in range(min(THREADS, len(self._waiting))):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        number = _next(self._waiting)
        while number is not None:
            self._run(number)
            number = _next(self._waiting)

    def _run(self, number: int) -> None:
        check = self._checks[number]
        try:
            resource = from_wire(self._steps[number]["resource"])
            check.unchanged = not resource.check(self._host.recording(check.messages))
        except Exception:
            check.unchanged = False  # repeated in its turn, which reports the error
        check.ended.set()

    def is_unchanged(self, number: int) -> bool:
        """Whether a step's check found nothing to change; if so, its messages are sent now.

        Waits for a check that is running, not for one that has not started.
        """
        check = self._checks.get(number)
        if check is None or _withdrawn(number, self._waiting) or _withdrawn(number, self._quick):
            return False
        while not check.ended.is_set():
            other = _next(self._quick)
            if other is None:
                check.ended.wait()
            else:
                self._run(other)
        if check.unchanged:
            self._host.replay(check.messages)
        return check.unchanged

    def stop(self) -> None:
        """Called before a change: start no more checks, wait for running ones, and drop all results."""
        self._waiting.clear()
        self._quick.clear()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._checks = {}


def _next(numbers: collections.deque[int]) -> Optional[int]:
    try:
        return numbers.popleft()
    except IndexError:
        return None


def _withdrawn(number: int, numbers: collections.deque[int]) -> bool:
    """Remove a check that has not started. Returns whether it was still there."""
    try:
        numbers.remove(number)
    except ValueError:
        return False
    return True
