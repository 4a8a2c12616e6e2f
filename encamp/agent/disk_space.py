"""Which file systems of the host are full: a cause that most programs report badly."""

from __future__ import annotations

import os
from typing import Iterator

#: Bytes. A program that ran out of space may have freed some since.
LITTLE, HARDLY_ANY = 64 << 20, 1 << 20
PHRASES = ("no space left", "disk full", "disk is full", "disk quota exceeded", "not enough free space")
#: The firmware's variables: always nearly full, and irrelevant here.
NO_DISKS = ("efivarfs",)


def shortage(output: str) -> str:
    """The file systems that may have caused a failure, as a cause for the operator; empty when there is space.

    ``output`` is the failure's whole text: where it mentions disk space, the limit for "full" is higher.
    """
    limit = LITTLE if any(words in output.lower() for words in PHRASES) else HARDLY_ANY
    return "; ".join(_full(limit))


def _full(limit: int) -> Iterator[str]:
    """The writable file systems with less than ``limit`` bytes, or no inode, left."""
    seen = set()
    for place in _mounts():
        try:
            device, usage = os.stat(place).st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in seen or not usage.f_blocks:
            continue
        seen.add(device)
        if usage.f_bavail * usage.f_frsize < min(limit, usage.f_blocks * usage.f_frsize // 2):
            yield describe(place, usage)
        elif usage.f_files and not usage.f_favail:
            yield f"the file system at {place} has no inodes left: it contains too many files"


def describe(place: str, usage: os.statvfs_result) -> str:
    """How full a file system is."""
    free, size = (count * usage.f_frsize for count in (usage.f_bavail, usage.f_blocks))
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
