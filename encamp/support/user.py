"""Who runs this. A container's job often runs under a number that no account has."""

from __future__ import annotations

import getpass
import os

from encamp.errors import InventoryError


def name() -> str | None:
    """The account's name, or what LOGNAME or USER say; None without either."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        return None


def who() -> str:
    """A name for records."""
    return name() or f"uid {os.getuid()}"


def login() -> str:
    """The name to log in with without ansible_user. Raises InventoryError where there is none."""
    found = name()
    if found is None:
        fix = "set ansible_user, or the environment variable USER"
        raise InventoryError(f"there is no login name: uid {os.getuid()} has no account here", fix)
    return found
