"""How far a command is that says nothing itself: looked at from beside it, every second."""

from __future__ import annotations

import contextlib
import threading
from typing import Callable, Iterator

from encamp.resources.system import System

EVERY_SECONDS = 1.0
#: What is being done, how much of it is done, and of how much (0: not known).
Measure = tuple[str, float, float]


@contextlib.contextmanager
def measured(host: System, look: Callable[[], Measure]) -> Iterator[None]:
    """Tell what ``look`` finds whenever that is something new, as long as the context lasts.

    What goes wrong while looking ends the telling and nothing else.
    """
    over = threading.Event()

    def watch() -> None:
        told = None
        with contextlib.suppress(Exception):
            while not over.wait(EVERY_SECONDS):
                found = look()
                if found != told:
                    told = found
                    host.measure(*found)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
