"""Which wheels fit a host: the tags in their file names (PEP 425, PEP 600), on Linux with glibc."""

from __future__ import annotations

import re
from typing import Iterator, Optional

from encamp.shared.record import record

MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)\Z")
#: The old names of what a wheel needs of glibc.
LEGACY = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}


@record
class Target:
    """What a wheel must fit: CPython's series, the C library's version, the machine's name (x86_64, aarch64)."""

    python: tuple[int, int]
    glibc: tuple[int, int]
    machine: str


def rank(filename: str, target: Target) -> Optional[tuple[int, int]]:
    """How well a wheel fits, the higher the better; None where it does not, or is no wheel."""
    words = filename[: -len(".whl")].split("-") if filename.endswith(".whl") else []
    if len(words) not in (5, 6):
        return None
    pythons, abis, platforms = (word.split(".") for word in words[-3:])
    first = max(_pythons(pythons, abis, target), default=None)
    second = max(_platforms(platforms, target), default=None)
    return None if first is None or second is None else (first, second)


def _pythons(pythons: list[str], abis: list[str], target: Target) -> Iterator[int]:
    major, minor = target.python
    for python in pythons:
        series = re.fullmatch(r"(cp|py)(\d)(\d*)", python)
        if not series or int(series[2]) != major:
            continue
        since = int(series[3] or 0)
        for abi in abis:
            if python == abi == f"cp{major}{minor}":
                yield 4
            elif abi == "abi3" and series[1] == "cp" and since <= minor:
                yield 3
            elif abi == "none" and (since <= minor if series[1] == "py" else since == minor):
                yield 2 if series[1] == "cp" else 1


def _platforms(platforms: list[str], target: Target) -> Iterator[int]:
    for platform in platforms:
        name, _, machine = platform.partition("_")
        found = MANYLINUX.match(f"{LEGACY[name]}_{machine}" if name in LEGACY else platform)
        if platform == "any":
            yield 0
        elif platform == f"linux_{target.machine}":
            yield 1
        elif found and found[3] == target.machine and (int(found[1]), int(found[2])) <= target.glibc:
            yield 2
