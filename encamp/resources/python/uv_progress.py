"""How far uv is with an environment: seen from what it leaves on the disk, as it prints nothing until it is done."""

from __future__ import annotations

import re
from typing import ContextManager

from encamp.resources.progress import Measure, measured
from encamp.resources.system import Reader, System

#: Where uv unpacks what it has downloaded, an entry a package, and where it links that to (uv's cache buckets).
UNPACKED = "archive-v0"
_PIN = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)


def installing(host: System, cache: str, path: str, lock: str) -> ContextManager[None]:
    """Tell how many packages of ``lock`` are downloaded, then how many are in the environment at ``path``."""
    total = len(_PIN.findall(lock))
    before = len(host.listdir(f"{cache}/{UNPACKED}"))

    def look() -> Measure:
        inside = _inside(host, path)
        if inside:
            return f"installing packages: {inside} of {total}", inside, total
        fetched = min(total, len(host.listdir(f"{cache}/{UNPACKED}")) - before)
        return f"downloading packages: {fetched} of {total}", fetched, total

    return measured(host, look)


def _inside(host: Reader, path: str) -> int:
    """How many packages are in an environment."""
    folders = [f"{path}/lib/{name}/site-packages" for name in host.listdir(f"{path}/lib")]
    return sum(name.endswith(".dist-info") for folder in folders for name in host.listdir(folder))
