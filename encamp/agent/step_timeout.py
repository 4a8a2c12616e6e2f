"""The timeout of a step."""

from __future__ import annotations

import signal
from typing import Any

#: The alarm repeats: code that catches every exception must not swallow it for good.
AGAIN_SECONDS = 5.0


class StepTimedOut(BaseException):
    """The step's timeout has passed. Not an Exception, so that no resource handles it."""


def arm(seconds: float) -> None:
    """Raise StepTimedOut in the main thread after ``seconds``; 0 means never."""
    if seconds:
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)


def disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _on_alarm(*unused: Any) -> None:
    raise StepTimedOut
