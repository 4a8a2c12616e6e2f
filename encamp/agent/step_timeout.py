"""The timeout of a step."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any, Iterator

#: The alarm repeats: code that catches every exception must not swallow it for good.
AGAIN_SECONDS = 5.0


class StepTimedOut(BaseException):
    """The step's timeout has passed. Not an Exception, so that no resource handles it."""


class _Alarm:
    """The handler of the alarm, which Python runs in the main thread."""

    held = False

    def __call__(self, *unused: Any) -> None:
        if not self.held:
            raise StepTimedOut


_ALARM = _Alarm()


def arm(seconds: float) -> None:
    """Raise StepTimedOut in the main thread after ``seconds``; 0 means never."""
    if seconds:
        signal.signal(signal.SIGALRM, _ALARM)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)


def disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Raise no StepTimedOut while it lasts, but soon after: half an answer of the controller must not stay unread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ALARM.held = True
    try:
        yield
    finally:
        _ALARM.held = False
