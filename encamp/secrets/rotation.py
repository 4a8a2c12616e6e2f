"""Changing a generated secret, in steps any of which may be the last: two values are kept until the new one holds.

Beside a secret's file lie, while it changes, ``NAME~next`` (made, and not in use yet) and ``NAME~old`` (in use until
now). Each step is one system call that is done whole or not at all.

========================  =======================================================================================
files                     what it means
========================  =======================================================================================
NAME                      nothing changes
NAME, NAME~next           prepared: the next value is known, the present one is in use everywhere
NAME, NAME~next, NAME~old the same: the present value has been put aside already (both files are one)
NAME, NAME~old            switched: NAME is the new value, and some hosts may have the old one
========================  =======================================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from encamp.errors import SettingsError
from encamp.secrets.store import NEXT, OLD, make, read, status, sync
from encamp.shared.secret import Secret

State = Literal["none", "prepared", "switched"]


class Rotation:
    """How far the change of the secret in the file ``path`` is. Each method continues an interrupted run.

    They raise SettingsError where the files cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next, self._old = (path.with_name(path.name + end) for end in (NEXT, OLD))

    def state(self) -> State:
        """What the files mean."""
        if status(self._next):
            return "prepared"
        return "switched" if status(self._old) else "none"

    def prepare(self) -> None:
        """Make the next value, unless it is there."""
        make(self._next)

    def switch(self) -> None:
        """Let the next value, where there is one, be the present one, which is kept as the old one."""
        if self.state() != "prepared":
            return
        try:
            if not self._old.exists():
                os.link(self._path, self._old)
                sync(self._path.parent)
            os.replace(self._next, self._path)
            sync(self._path.parent)
        except OSError as error:
            raise _unwritable(error, self._path) from None

    def confirm(self, held: Secret) -> bool:
        """Forget the old value: ``held`` is what all hosts were seen to have.

        False where there is none to forget, or where ``held`` is not the present value any more.
        """
        if self.state() != "switched" or read(self._path) != held:
            return False
        try:
            self._old.unlink()
            sync(self._path.parent)
        except OSError as error:
            raise _unwritable(error, self._path) from None
        return True


def _unwritable(error: OSError, path: Path) -> SettingsError:
    fix = f"make {path.parent} a folder that you can write to, then run again: the rotation continues"
    return SettingsError(f"{error.filename or path}: {error.strerror}; the secret cannot be changed", fix)
