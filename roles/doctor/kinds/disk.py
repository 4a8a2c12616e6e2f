"""The check of disks: a full one stops databases, logs and flows, each with a different message."""

from __future__ import annotations

import os
from typing import Optional, Sequence

from roles.doctor.kinds.findings import Finding, fail, ok, warn

MEBIBYTE = 1024 * 1024
#: Below these many MiB a disk counts as full, or as filling up.
FULL, FILLING = 64, 512


def check_disk(paths: Sequence[str]) -> Optional[Finding]:
    """The file systems of ``paths`` have room; a path that is not there yet counts for the nearest parent."""
    found = sorted({room_of(path) for path in paths})
    worst, place, _ = found[0]
    text = ", ".join(f"{room} MiB free ({used} % used) on the file system of {where}" for room, where, used in found)
    if worst < FULL:
        return fail(
            f"{place} is full: {worst} MiB left", "the disk is full", f"free some space there (du -xsh {place}/*)"
        )
    if worst < FILLING:
        return warn(text, "the disk is almost full", f"free some space there (du -xsh {place}/*)")
    return ok(text)


def room_of(path: str) -> tuple[int, str, int]:
    """MiB that anyone may still write (0 where inodes have run out), the path's mount point, and per cent used."""
    place = path
    while not os.path.exists(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    room = found.f_bavail * found.f_frsize // MEBIBYTE
    device = os.stat(place).st_dev
    while place != "/" and os.stat(os.path.dirname(place)).st_dev == device:
        place = os.path.dirname(place)
    taken = found.f_blocks - found.f_bfree
    used = 100 * taken // max(taken + found.f_bavail, 1)  # as df counts: what only root may use is left out
    return (0 if found.f_files and not found.f_favail else room), place, used
