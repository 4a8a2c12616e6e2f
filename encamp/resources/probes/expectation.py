"""Requirements of a host, checked before anything on it changes."""

from __future__ import annotations

import contextlib
import os
from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System

MEBIBYTE = 1024 * 1024


@kind
class Expectation(Resource):
    """Requirements of a host: distribution family, systemd, memory, disk. Never changes anything.

    ``memory`` and the sizes in ``disk`` (pairs of path and size) are MiB. For a path that does not exist yet the
    nearest parent counts. ``unless``: paths, in which ``*`` stands for any name; if one exists, disk space is not
    checked. ``filled``: directories that an interrupted run may have filled; what they hold on the same file system
    counts towards the size.
    """

    name: str
    families: tuple[str, ...] = ()
    systemd: bool = False
    memory: int = 0
    disk: tuple[tuple[str, int], ...] = ()
    unless: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        self._check_system(host)
        self._check_memory(host)
        if not any(map(_exists, self.unless)):
            for path, need in self.disk:
                _check_disk(path, need, self.filled)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _check_system(self, host: Reader) -> None:
        release = host.os_release()
        if self.families and release.family not in self.families:
            known = " and ".join(self.families)
            raise Refused(
                f"this host runs {release.pretty}; encamp supports the {known} families",
                fix="use a host of one of these families",
            )
        if self.systemd and host.stat("/run/systemd/system") is None:
            raise Refused("systemd does not run on this host", fix="deploy to a host that was booted with systemd")

    def _check_memory(self, host: Reader) -> None:
        if not self.memory:
            return
        words = (host.read("/proc/meminfo") or b"MemTotal: 0").split()
        total = int(words[1]) // 1024
        if words[0] == b"MemTotal:" and total < self.memory:
            raise Refused(
                f"this host has {total} MiB of memory; {self.memory} MiB are required", fix="use a larger host"
            )


def _exists(pattern: str) -> bool:
    import glob

    return bool(glob.glob(pattern))


def _check_disk(path: str, need: int, filled: Sequence[str]) -> None:
    """Raises Refused when the file system that will hold ``path`` has less than ``need`` MiB free.

    What the directories ``filled`` hold on it already is subtracted from ``need``; they are measured only if needed.
    """
    place = path
    while not os.path.exists(place):
        place = os.path.dirname(place)
    usage = os.statvfs(place)
    free = usage.f_bavail * usage.f_frsize // MEBIBYTE
    if free >= need:
        return
    done = _size(filled, os.stat(place).st_dev) // MEBIBYTE
    if free < need - done:
        there = f", of which {done} MiB are there" if done else ""
        raise Refused(
            f"not enough free space: {free} MiB free for {path} (on the file system of {place}), "
            f"{need} MiB required{there}",
            fix=f"free {need - done - free} MiB there, or mount a larger file system",
        )


def _size(directories: Sequence[str], device: int) -> int:
    """The bytes that directories take on a file system; a file with several names counts once."""
    blocks = {}
    for directory in directories:
        for folder, _, names in os.walk(directory):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    status = os.lstat(os.path.join(folder, name))
                    blocks[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(size for (where, _), size in blocks.items() if where == device)
