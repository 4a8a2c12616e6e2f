"""``fab lock``: make a dated, hashed lock of a Prefect release, alone or with further packages for workers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from encamp import locks, site
from encamp.errors import UsageError
from roles.base import LOCKS, site_locks


def lock(version: str, exclude_newer: str = "", packages: Sequence[str] = (), inventory: str = "") -> int:
    """Resolve ``version`` as of its own date (or ``exclude_newer``) into roles/locks. Raises EncampError.

    With ``packages`` the lock is the site's own: it goes into locks/ beside the inventory.
    """
    if exclude_newer and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", exclude_newer):
        raise UsageError(f"--exclude-newer {exclude_newer}: expected a date such as 2026-10-30")
    folder = LOCKS
    if packages:
        where = site.locate(inventory)
        folder = site_locks(str(where if where.is_dir() else where.parent))
    path = locks.make(version, folder, exclude_newer or None, packages=packages)
    made = locks.load(version, folder, packages)
    more = f" with {', '.join(made.packages)}" if made.packages else ""
    print(f"{path}: prefect {made.version}{more}, resolved as of {made.date}, Python {made.requires_python}")
    return 0
