"""Progress of a command that prints none itself: measured from outside, every second."""

from __future__ import annotations

import contextlib
import threading
from typing import Callable, Iterator

from encamp.resources.system import System

EVERY_SECONDS = 1.0
#: What is being done, how much of it is done, and the total (0: unknown).
Measure = tuple[str, float, float]


@contextlib.contextmanager
def report_progress(host: System, read: Callable[[], Measure]) -> Iterator[None]:
    """Report what ``read`` returns whenever it changes, while the context lasts.

    An error in ``read`` ends the reporting and nothing else.
    """
    over = threading.Event()

    def watch() -> None:
        last = None
        with contextlib.suppress(Exception):
            while not over.wait(EVERY_SECONDS):
                current = read()
                if current != last:
                    last = current
                    host.measure(*current)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
