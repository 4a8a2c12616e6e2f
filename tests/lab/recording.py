"""A command on a terminal of its own, and what was on the screen from its start to its end."""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyte
from pyte.screens import Char

Row = tuple[Char, ...]


@dataclass(frozen=True)
class Size:
    """A terminal's columns and lines."""

    columns: int
    lines: int


@dataclass(frozen=True)
class Recording:
    """What a command wrote: bytes with the seconds since its start, and its exit status."""

    size: Size
    written: tuple[tuple[float, bytes], ...]
    status: int

    def screens(self, most: int) -> list[tuple[Row, ...]]:
        """What was on the screen at even distances of time, and at the end; moments that look alike are one."""
        screen = pyte.Screen(self.size.columns, self.size.lines)
        stream = pyte.ByteStream(screen)
        distance = self.written[-1][0] / most
        shown: list[tuple[Row, ...]] = []
        due = distance
        for seconds, data in self.written:
            if seconds > due:
                shown.append(self._rows(screen))
                due = seconds + distance
            stream.feed(data)
        return [rows for rows, _ in itertools.groupby([*shown, self._rows(screen)])]

    def _rows(self, screen: pyte.Screen) -> tuple[Row, ...]:
        columns = range(self.size.columns)
        return tuple(tuple(screen.buffer[y][x] for x in columns) for y in range(self.size.lines))


def record(shown: str, command: Sequence[str], size: Size, env: Mapping[str, str]) -> Recording:
    """Run a command; ``shown`` is what stands behind the prompt before it."""
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    written = [(0.0, f"\x1b[32m$\x1b[0m {shown}\r\n".encode())]
    started = time.monotonic()
    while data := _read(ours):
        written.append((time.monotonic() - started, data))
    os.close(ours)
    return Recording(size, tuple(written), process.wait())


def _read(descriptor: int) -> bytes:
    """The next bytes; empty when no process holds the other end any more, which Linux reports as an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
