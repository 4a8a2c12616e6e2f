"""How far apt is: seen from the packages that it has fetched and dpkg has unpacked."""

from __future__ import annotations

from typing import ContextManager, Sequence

from encamp.resources.progress import Measure, measured
from encamp.resources.system import Reader, System

ARCHIVES = "/var/cache/apt/archives"
DPKG_INFO = "/var/lib/dpkg/info"


def unpacking(host: System, names: Sequence[str]) -> ContextManager[None]:
    """Tell what has been fetched and unpacked since now. Of how many, only apt knows."""
    fetched, unpacked = _count(host, ARCHIVES, ".deb"), _count(host, DPKG_INFO, ".list")

    def look() -> Measure:
        more = _count(host, ARCHIVES, ".deb") - fetched, _count(host, DPKG_INFO, ".list") - unpacked
        return f"installing {', '.join(names)}: {max(0, more[0])} packages fetched, {max(0, more[1])} unpacked", 0, 0

    return measured(host, look)


def _count(host: Reader, folder: str, ending: str) -> int:
    return sum(name.endswith(ending) for name in host.listdir(folder))
