"""Trying to connect, again where the network may have dropped the connection or the server is busy."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from encamp.ssh import errors
from encamp.ssh.config import Hop
from encamp.ssh.target import Address

T = TypeVar("T")
#: Connects at once, until a server is busy.
AT_ONCE = 8
#: A server that closes the connection before its banner has too many logins in progress (MaxStartups): that passes.
BUSY_TRIES = 5


class ConnectThrottle:
    """A limit on connects at once, each held from the first packet to the log-in.

    Halved when a server is busy: sshd drops what exceeds its MaxStartups.
    """

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


_THROTTLE = ConnectThrottle()


class Failed(Exception):
    """A connection that failed, with the hop at which it did."""

    def __init__(self, hop: Hop, cause: Exception) -> None:
        super().__init__(hop, cause)
        self.hop, self.cause = hop, cause


def until_open(address: Address, attempt: Callable[[], T]) -> T:
    """What ``attempt`` opens, as often tried as the address says. It raises Failed, or what no try would change.

    Raises Unreachable, with the reason and what to do.
    """
    failures = busy = 0
    while True:
        with _THROTTLE:
            try:
                return attempt()
            except Failed as failed:
                error = failed
        if errors.is_busy(error.cause) and address.tries > 1 and busy < BUSY_TRIES * address.tries:
            busy += 1
            _THROTTLE.slow_down()
            time.sleep(random.uniform(0.2, 1.0) * min(busy, 4))
            continue
        failures += 1
        if failures >= address.tries or not errors.may_pass(error.cause):
            raise errors.explained(error.hop, address, error.cause) from error.cause
        time.sleep(2.0**failures / 2 * random.uniform(0.8, 1.2))
