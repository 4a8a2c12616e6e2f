"""A program that a trial starts on the controller. It never outlives the trial, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from encamp.support import interrupts

#: Seconds that a program gets to stop by itself.
STOP = 20


@contextlib.contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a session of its own, which ends with all that it started: after an error, Ctrl-C or SIGTERM, too.

    ``folder`` is its working directory; both of its outputs go to ``log``.
    """
    with interrupts.raised(), log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdout=output, stderr=output, env=environment, cwd=folder, start_new_session=True
        )
        try:
            yield process
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a session: its programs first get the time to do so by themselves, unless Ctrl-C comes again."""
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
