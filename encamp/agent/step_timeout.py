"""The time that one step may take."""

from __future__ import annotations

import signal
from typing import Any

#: The alarm is repeated until it is heard: code that catches everything must not swallow it.
AGAIN_SECONDS = 5.0


class OutOfTime(BaseException):
    """The step's time is up. Not an Exception: no resource may take it for a failure that it knows."""


def arm(seconds: float) -> None:
    """Raise OutOfTime in the main thread after so long; 0 means never."""
    if seconds:
        signal.signal(signal.SIGALRM, _ring)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)


def disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(*unused: Any) -> None:
    raise OutOfTime
