"""The agent on this very machine: a child process over pipes, with the same face as an SSH channel."""

from __future__ import annotations

import os
import select
import shlex
import subprocess


class LocalLink:
    """Stands where an SSH connection would. Each channel is one child process."""

    def execute(self, command: str) -> LocalChannel:
        """Start a command."""
        return LocalChannel(command)

    def close(self) -> None:
        """Nothing to close: children end with their channel."""


class LocalChannel:
    """One child. Reads honour the time-out as a socket would (TimeoutError).

    ``eof_received`` as paramiko's: that the child ended, and not the connection to it.
    """

    eof_received = True

    def __init__(self, command: str) -> None:
        self._timeout: float | None = None
        self._child = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def sendall(self, data: bytes) -> None:
        assert self._child.stdin is not None
        left = memoryview(data)
        while left:
            left = left[self._child.stdin.write(left) or 0 :]

    def recv(self, size: int) -> bytes:
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], self._timeout)[0]:
            raise TimeoutError
        return os.read(self._child.stdout.fileno(), size)

    def recv_stderr(self, size: int) -> bytes:
        assert self._child.stderr is not None
        return os.read(self._child.stderr.fileno(), size)

    def recv_exit_status(self) -> int:
        return self._child.wait()

    def close(self) -> None:
        """Close the child's input, which ends an agent that waits for it, and reap it."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.terminate()
            self._child.wait()
