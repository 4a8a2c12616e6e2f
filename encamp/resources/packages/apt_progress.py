"""Progress of apt, from the packages that are fetched and unpacked so far."""

from __future__ import annotations

from typing import ContextManager, Sequence

from encamp.resources.progress import Measure, report_progress
from encamp.resources.system import Reader, System

ARCHIVES = "/var/cache/apt/archives"
DPKG_INFO = "/var/lib/dpkg/info"


def unpacking(host: System, names: Sequence[str]) -> ContextManager[None]:
    """Report the packages fetched and unpacked from now on; the total is unknown."""
    fetched, unpacked = _count(host, ARCHIVES, ".deb"), _count(host, DPKG_INFO, ".list")

    def read() -> Measure:
        more = _count(host, ARCHIVES, ".deb") - fetched, _count(host, DPKG_INFO, ".list") - unpacked
        return f"installing {', '.join(names)}: {max(0, more[0])} packages fetched, {max(0, more[1])} unpacked", 0, 0

    return report_progress(host, read)


def _count(host: Reader, folder: str, ending: str) -> int:
    return sum(name.endswith(ending) for name in host.listdir(folder))
