"""The agent on this very machine: a child process over pipes, with the same face as an SSH channel."""

from __future__ import annotations

import shlex

from encamp.support import environment
from encamp.support.child import ChildChannel


class LocalLink:
    """Stands where an SSH connection would. Each channel is one child process."""

    note = ""

    def execute(self, command: str) -> LocalChannel:
        """Start a command."""
        return LocalChannel(command)

    def close(self) -> None:
        """Nothing to close: children end with their channel."""


class LocalChannel(ChildChannel):
    """``eof_received`` as paramiko's: that the child ended, and not the connection to it."""

    eof_received = True

    def __init__(self, command: str) -> None:
        super().__init__(shlex.split(command), environment.without_passwords())
