"""Which file systems of the host are full: the cause that no program names well when it fails."""

from __future__ import annotations

import os
from typing import Iterator

#: Bytes. Whoever said that no space was left may have freed some since.
LITTLE, HARDLY_ANY = 64 << 20, 1 << 20
SAID = ("no space left", "disk full", "disk is full", "disk quota exceeded", "not enough free space")
#: The firmware's variables: always nearly full, and nothing is kept there.
NO_DISKS = ("efivarfs",)


def shortage(said: str) -> str:
    """The file systems that may be why something failed, as a cause for people; empty when there is room.

    ``said`` is all that the failure said: one that speaks of space makes little of it suspicious.
    """
    limit = LITTLE if any(words in said.lower() for words in SAID) else HARDLY_ANY
    return "; ".join(_full(limit))


def _full(limit: int) -> Iterator[str]:
    """The writable file systems with less than ``limit`` bytes, or no inode, left."""
    seen = set()
    for place in _mounts():
        try:
            device, found = os.stat(place).st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in seen or not found.f_blocks:
            continue
        seen.add(device)
        if found.f_bavail * found.f_frsize < min(limit, found.f_blocks * found.f_frsize // 2):
            yield told(place, found)
        elif found.f_files and not found.f_favail:
            yield f"the file system at {place} has no inodes left: it holds too many files"


def told(place: str, found: os.statvfs_result) -> str:
    """How full a file system is."""
    free, size = (count * found.f_frsize for count in (found.f_bavail, found.f_blocks))
    return f"the file system at {place} is full: {_amount(free)} of {_amount(size)} left"


def _amount(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 10 << 20 else f"{count >> 10} KiB"


def _mounts() -> list[str]:
    """Where file systems are mounted for writing, from proc(5); none where there is no /proc."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as table:
            rows = [line.split() for line in table]
    except OSError:
        return []
    return [
        row[1].replace("\\040", " ")
        for row in rows
        if len(row) > 3 and row[2] not in NO_DISKS and "rw" in row[3].split(",")
    ]
