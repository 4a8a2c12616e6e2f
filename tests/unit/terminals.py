"""A real pseudo-terminal with a terminal emulator behind it: what a person would see of a program, at any moment."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyte

CHECKOUT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 120.0


class Terminal:
    """A program on a terminal of its own. ``raw`` is every byte that it has written."""

    def __init__(self, program: str, columns: int, lines: int, env: Mapping[str, str]) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._ours, theirs = os.openpty()
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            env=dict(env),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_own_session,
        )
        self._theirs = theirs

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window, as a person does."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def shown(self) -> list[str]:
        """The lines on the screen that are not empty."""
        self._read(0)
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def cursor_is_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def modes_now(self) -> list[object]:
        """The modes of the terminal: echo, line editing, signals."""
        return termios.tcgetattr(self._theirs)

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the screen is as wanted; returns its lines."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            lines = self.shown()
            if condition(lines):
                return lines
            self._read(0.1)
        raise AssertionError("\n".join(["the screen is:", *self.shown()]))

    def end(self) -> int:
        """Wait for the program's end; returns its status."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        status = self.process.wait(timeout=1)
        self._read(0)
        return status

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._theirs)
        os.close(self._ours)

    def _read(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError as error:
                if error.errno == errno.EIO:
                    return
                raise
            self.raw += data
            self._stream.feed(data)
            seconds = 0


def _own_session() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP):  # whoever runs the tests may ignore them (nohup)
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def terminal(program: str, columns: int = 80, lines: int = 24, **env: str) -> Iterator[Terminal]:
    """Run Python source on a terminal. ``env`` is added to an environment without a CI system's or colours' words."""
    foreign = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    known = {name: value for name, value in os.environ.items() if name not in foreign}
    opened = Terminal(program, columns, lines, {**known, "TERM": "xterm-256color", **env})
    try:
        yield opened
    finally:
        if opened.process.poll() is None:
            opened.process.kill()
            opened.process.wait()
        with contextlib.suppress(OSError):
            opened.hang_up()
