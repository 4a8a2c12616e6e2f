"""A child process with the face of an SSH channel: three streams, reads and writes with a time-out."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO


class ChildChannel:
    """One child. Reads and writes honour the time-out as a socket would (TimeoutError)."""

    #: How long a child whose input has ended may take to end itself.
    ENDING_SECONDS = 10.0

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None, own_session: bool = False) -> None:
        self._timeout: float | None = None
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=env,
            start_new_session=own_session,
        )
        os.set_blocking(_open(self._child.stdin).fileno(), False)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def sendall(self, data: bytes) -> None:
        """Raises OSError when the child has ended or its input was closed."""
        stream, left = _open(self._child.stdin), memoryview(data)
        try:
            while left:
                _await(stream, select.POLLOUT, self._timeout)
                left = left[stream.write(left) or 0 :]
        except ValueError as error:  # closed, by another thread perhaps
            raise BrokenPipeError(str(error)) from error

    def recv(self, size: int) -> bytes:
        return self._read(_open(self._child.stdout), size)

    def recv_stderr(self, size: int) -> bytes:
        return self._read(_open(self._child.stderr), size)

    def recv_exit_status(self) -> int:
        return self._child.wait()

    def close(self) -> None:
        """Close the child's input, which ends a program that waits for it, and reap it."""
        with contextlib.suppress(OSError):
            _open(self._child.stdin).close()
        try:
            self._child.wait(self.ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self.hang_up()

    def hang_up(self) -> None:
        """End the child at once."""
        self._child.terminate()
        self._child.wait()

    def _read(self, stream: IO[bytes], size: int) -> bytes:
        _await(stream, select.POLLIN, self._timeout)
        return os.read(stream.fileno(), size)


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _await(stream: IO[bytes], event: int, timeout: float | None) -> None:
    """Wait until a stream is ready or at its end. Not by select(): that fails from the 1024th open file on."""
    poll = select.poll()
    poll.register(stream.fileno(), event)
    if not poll.poll(None if timeout is None else timeout * 1000):
        raise TimeoutError
