"""Bounds of a Prefect release's dependencies that its date alone does not give, in one table.

A lock is resolved as of its release's date. A dependency can break the release within those days, or be newer than that
where a site names the day itself. What is known of such breaks is held to whenever a lock is made or used.
"""

from __future__ import annotations

import re

from encamp.errors import SettingsError
from encamp.locking.lockfile import Lock
from encamp.resources.python.interpreters import fits
from encamp.shared.record import record
from roles.prefect import versions


@record
class Bound:
    """Releases from ``since`` on, and before ``fixed``, need ``package`` ``below`` a version: else ``breaks``."""

    since: str
    fixed: str
    package: str
    below: str
    breaks: str

    @property
    def requirement(self) -> str:
        """The bound as pip writes it."""
        return f"{self.package}<{self.below}"


#: Each was seen on a running server: the first with 3.8.8 and 3.9.0, the second with 3.0.11 and 3.8.8. The release
#: without the fault is from its source.
BOUNDS = (
    Bound(
        *("3.0", "3.9.1", "sqlalchemy", "2.1"),
        "schedules create no flow runs (`Can't evaluate bulk DML statement` in the server's log)",
    ),
    Bound(
        *("3.0", "3.9.0", "fastapi", "0.153"),
        "the server does not start (`Body() got an unexpected keyword argument`)",
    ),
)


def of(version: str) -> list[Bound]:
    """The bounds of a release."""
    return [bound for bound in BOUNDS if versions.within(version, bound.since, bound.fixed)]


def require(lock: Lock, again: str) -> None:
    """Raises SettingsError for a lock that pins what breaks its release; ``again`` makes it anew."""
    for bound in of(lock.version):
        for pinned in re.findall(rf"^{bound.package}==([\d.]+)", lock.text, re.MULTILINE):
            if not fits(pinned, f"<{bound.below}"):
                raise SettingsError(
                    f"the lock of Prefect {lock.version} pins {bound.package} {pinned}, with which {bound.breaks}",
                    f"make it again: {again}",
                )
