"""Progress of uv with an environment, from its files on disk: uv prints nothing until it is done."""

from __future__ import annotations

import re
from typing import ContextManager

from encamp.resources.progress import Measure, report_progress
from encamp.resources.system import Reader, System

#: Where uv unpacks downloads, one entry for each package (uv's cache buckets).
UNPACKED = "archive-v0"
_PIN = re.compile(r"^[A-Za-z0-9][^\s=]*==", re.MULTILINE)


def installing(host: System, cache: str, path: str, lock: str) -> ContextManager[None]:
    """Report how many packages of ``lock`` are downloaded, then how many are in the environment at ``path``."""
    total = len(_PIN.findall(lock))
    before = len(host.listdir(f"{cache}/{UNPACKED}"))

    def read() -> Measure:
        inside = _inside(host, path)
        if inside:
            return f"installing packages: {inside} of {total}", inside, total
        fetched = min(total, len(host.listdir(f"{cache}/{UNPACKED}")) - before)
        return f"downloading packages: {fetched} of {total}", fetched, total

    return report_progress(host, read)


def _inside(host: Reader, path: str) -> int:
    """The number of packages in an environment."""
    folders = [f"{path}/lib/{name}/site-packages" for name in host.listdir(f"{path}/lib")]
    return sum(name.endswith(".dist-info") for folder in folders for name in host.listdir(folder))
