"""Looking ahead: checks that mostly wait, for a child process or a server, are begun before their turn, in threads, and
while the loop must wait for one of them it uses the time for the next of the others.

A check reads only, so what it finds holds until something is changed. The loop still takes its steps in order, one by
one, and finds answers ready. Only "in order" is believed: any other answer is asked for again in its turn. Once
something is to be changed, all that was looked at ahead is forgotten.
"""

from __future__ import annotations

import collections
import sys
import threading
from typing import Any, Optional, Sequence

from encamp.agent.system import Host
from encamp.shared.wire import from_wire

THREADS = 6
#: Seconds after which a busy thread lets one go on whose answer has come.
SWITCH_SECONDS = 0.001


class _Look:
    """One check: whether it found its resource in order, and what it had to tell."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.in_order = False
        self.heard: list[Any] = []


class Ahead:
    """Checks of a job's steps, before their turn. The plan marked those that wait ``ahead``."""

    def __init__(self, host: Host, steps: Sequence[dict[str, Any]]) -> None:
        self._host, self._steps = host, steps
        taken = [n for n, step in enumerate(steps) if "resource" in step and not step.get("when_changed")]
        self._looks = {number: _Look() for number in taken}
        self._waiting = collections.deque(number for number in taken if steps[number].get("ahead"))
        self._quick = collections.deque(number for number in taken if not steps[number].get("ahead"))
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin the checks that wait."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for _ in range(min(THREADS, len(self._waiting))):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        number = _next(self._waiting)
        while number is not None:
            self._look(number)
            number = _next(self._waiting)

    def _look(self, number: int) -> None:
        look = self._looks[number]
        try:
            look.in_order = not from_wire(self._steps[number]["resource"]).check(self._host.aside(look.heard))
        except Exception:
            look.in_order = False  # asked again in its turn, and told then
        look.ended.set()

    def in_order(self, number: int) -> bool:
        """Whether a step was seen to be in order; what its check had to tell is told now.

        Waits for a check that is under way, not for one that was not begun.
        """
        look = self._looks.get(number)
        if look is None or _taken_back(number, self._waiting) or _taken_back(number, self._quick):
            return False
        while not look.ended.is_set():
            other = _next(self._quick)
            if other is None:
                look.ended.wait()
            else:
                self._look(other)
        if look.in_order:
            self._host.repeat(look.heard)
        return look.in_order

    def stop(self) -> None:
        """Something is to be changed: begin no more checks, wait for those under way, and forget them all."""
        self._waiting.clear()
        self._quick.clear()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._looks = {}


def _next(numbers: collections.deque[int]) -> Optional[int]:
    try:
        return numbers.popleft()
    except IndexError:
        return None


def _taken_back(number: int, numbers: collections.deque[int]) -> bool:
    """Whether a check had not been begun, and will not be."""
    try:
        numbers.remove(number)
    except ValueError:
        return False
    return True
