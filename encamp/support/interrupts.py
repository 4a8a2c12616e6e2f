"""Signals that stop a program: raised as Ctrl-C is, or held off for a moment."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """SIGTERM, which CI systems send to a cancelled job, and the SIGHUP of a closed terminal raise KeyboardInterrupt.

    So a block ends what it has started and removes what it has written. Signals that something else handles or
    ignores (nohup ignores SIGHUP) stay as they are; so do all of them outside the main thread.
    """
    defaults = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    with _handled(defaults, signal.default_int_handler):
        yield


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing: for what takes milliseconds and must not be torn."""
    with _handled((signal.SIGINT, signal.SIGTERM), signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """The handlers before are back afterwards. Only the main thread can set any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
