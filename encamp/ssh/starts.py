"""How many connections are begun at once. sshd drops what exceeds its MaxStartups, so fewer are begun when it does."""

from __future__ import annotations

import threading

AT_ONCE = 8


class Starts:
    """A limit that is entered for the time from the first packet to the log-in, and halved when a server is busy."""

    def __init__(self, limit: int = AT_ONCE) -> None:
        self._limit, self._running = limit, 0
        self._free = threading.Condition()

    def __enter__(self) -> None:
        with self._free:
            while self._running >= self._limit:
                self._free.wait()
            self._running += 1

    def __exit__(self, *unused: object) -> None:
        with self._free:
            self._running -= 1
            self._free.notify()

    def slow_down(self) -> None:
        with self._free:
            self._limit = max(1, self._limit // 2)
