"""What a host must offer before anything on it is changed."""

from __future__ import annotations

import os
from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System

MEBIBYTE = 1024 * 1024


@kind
class Expectation(Resource):
    """What a host must offer: distribution family, systemd, memory, disk. Never changes anything.

    ``memory`` and the numbers in ``disk`` (pairs of path and need) are MiB. A need on a path that is not there yet
    counts for the nearest parent. ``unless`` is a path whose presence means that the disk was used already.
    """

    name: str
    families: tuple[str, ...] = ()
    systemd: bool = False
    memory: int = 0
    disk: tuple[tuple[str, int], ...] = ()
    unless: str = ""

    def check(self, host: Reader) -> list[Change]:
        self._check_system(host)
        self._check_memory(host)
        if not (self.unless and host.stat(self.unless)):
            for path, need in self.disk:
                _check_disk(path, need)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _check_system(self, host: Reader) -> None:
        release = host.os_release()
        if self.families and release.family not in self.families:
            known = " and ".join(self.families)
            raise Refused(f"this host runs {release.pretty}; encamp knows the {known} families", fix="use such a host")
        if self.systemd and host.stat("/run/systemd/system") is None:
            raise Refused("systemd does not run on this host", fix="deploy to a host that was booted with systemd")

    def _check_memory(self, host: Reader) -> None:
        if not self.memory:
            return
        words = (host.read("/proc/meminfo") or b"MemTotal: 0").split()
        total = int(words[1]) // 1024
        if words[0] == b"MemTotal:" and total < self.memory:
            raise Refused(f"this host has {total} MiB of memory; {self.memory} are needed", fix="use a larger host")


def _check_disk(path: str, need: int) -> None:
    """Raises Refused when the file system that will hold ``path`` has less than ``need`` MiB free."""
    place = path
    while not os.path.exists(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize // MEBIBYTE
    if free < need:
        raise Refused(
            f"no space left: {free} MiB free for {path} (on the file system of {place}), {need} MiB needed",
            fix=f"free {need - free} MiB there, or mount a larger file system",
        )
