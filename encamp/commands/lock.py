"""``fab lock``: make a dated, hashed lock of a Prefect release."""

from __future__ import annotations

import re

from encamp import locks
from encamp.errors import UsageError
from roles.base import LOCKS


def lock(version: str, exclude_newer: str = "") -> int:
    """Resolve ``version`` as of its own date (or ``exclude_newer``) into roles/locks. Raises EncampError."""
    if exclude_newer and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", exclude_newer):
        raise UsageError(f"--exclude-newer {exclude_newer}: expected a date such as 2026-10-30")
    path = locks.make(version, LOCKS, exclude_newer or None)
    made = locks.load(version, LOCKS)
    print(f"{path}: prefect {made.version}, resolved as of {made.date}, Python {made.requires_python}")
    return 0
