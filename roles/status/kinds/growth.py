"""How long the disk lasts: the database's average growth so far, against the room on its disk."""

from __future__ import annotations

import time
from typing import Optional

from encamp.resources.postgres import layout
from roles.doctor.kinds.disk import room_of
from roles.doctor.kinds.findings import Finding, ok, warn
from roles.doctor.kinds.server.subject import ServerSubject

DAY = 86400.0
MEBIBYTE = 1024 * 1024
#: Days that a database must have had flow runs before its growth says anything, and its size in MiB.
LEAST_DAYS, LEAST_SIZE = 3.0, 100
#: Days left below which it is a warning.
SOON = 14.0


def check(subject: ServerSubject) -> Optional[Finding]:
    """The disk of a database on this host does not fill up within days.

    The average since the first flow run that is still there: with retention at work it is more than the real growth.
    """
    found, place = subject.database, _place(subject)
    first, size = found.get("first"), found.get("size", 0) / MEBIBYTE
    days = (time.time() - first) / DAY if first else 0.0
    if not place or days < LEAST_DAYS or size < LEAST_SIZE:
        return None
    room, mount, _ = room_of(place)
    daily = size / days
    text = f"the database grew by {daily:.1f} MiB a day over {days:.0f} days; {mount} has room for {room / daily:.0f}"
    if room / daily >= SOON:
        return ok(f"{text} more")
    fix = f"make room, or keep less (retention): {room} MiB are left on the file system of {mount}"
    return warn(f"{text} more", "it fills up at that rate", fix)


def _place(subject: ServerSubject) -> str:
    """Where the database's files are; empty for one elsewhere."""
    url = subject.database_url
    if url.startswith("sqlite"):
        return url.partition(":///")[2].partition("?")[0]
    cluster = layout.find(subject.host, subject.kind.cluster) if subject.kind.cluster else None
    return cluster.data if cluster else ""
