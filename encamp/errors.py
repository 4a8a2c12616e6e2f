"""What can go wrong on the controller, each with its exit code and what the operator can do about it.

Every operator's mistake ends as one of these, never as a traceback. Exit codes: 1 usage, 2 a host failed, 3 a host was
unreachable, 4 the inventory or settings are wrong, 5 another run holds the lock, 6 a saved plan cannot be applied.
A run stopped by Ctrl-C ends with 130.
"""

from __future__ import annotations

import os

from encamp.shared.record import record

#: The option that beats every file.
OVERRIDE = "--set"


@record
class Origin:
    """Where a value was written: a file (absolute path, or a word such as ``--set``) and its line; 0 means no line."""

    file: str
    line: int = 0

    @classmethod
    def of_override(cls, name: str) -> Origin:
        """That of a value given as ``--set name=value``."""
        return cls(f"{OVERRIDE} {name}")

    @property
    def is_override(self) -> bool:
        return self.file.startswith(OVERRIDE)

    def __str__(self) -> str:
        """``inventory/hosts.yml:12``, relative to the current directory where the file is below it."""
        below = os.getcwd().rstrip(os.sep) + os.sep
        name = self.file[len(below) :] if self.file.startswith(below) else self.file
        return f"{name}:{self.line}" if self.line else name


class EncampError(Exception):
    """Base of all: ``message`` says what is wrong, ``fix`` what to do, ``where`` in which file and line."""

    exit_code: int = 1

    def __init__(self, message: str, fix: str = "", where: Origin | None = None) -> None:
        super().__init__(message, fix, where)
        self.message, self.fix, self.where = message, fix, where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(EncampError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 1


class InventoryError(EncampError, ValueError):
    """The inventory cannot be read, or does not know what was asked of it."""

    exit_code = 4


class NoHosts(UsageError, InventoryError):
    """Nothing is selected: the inventory lists no hosts, or what was asked for is empty. ``why`` says which."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(f"no hosts selected: {why}", fix)


class SettingsError(EncampError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 4


class PlanError(EncampError, ValueError):
    """The declarations contradict each other: a duplicate id, a missing target, a template variable that is not set."""

    exit_code = 4


class SavedPlanError(EncampError):
    """A saved plan cannot be made or applied: the file, the inventory, encamp or a host is not what it has to be."""

    exit_code = 6


class HostFailed(EncampError):
    """A step failed on a host."""

    exit_code = 2


class BecomeRefused(HostFailed):
    """The login works, but becoming root does not."""


class Unreachable(EncampError):
    """No session to the host could be opened."""

    exit_code = 3


class HostKeyRejected(Unreachable):
    """The host's key is unknown, or not the one that is on record."""
