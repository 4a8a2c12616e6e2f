"""Limits that a login hands down do not reach what the agent starts."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from encamp.agent import limits

#: The soft limit of open files that programs get where the hard one permits it.
FILES = 65536
PROGRAM = """
import resource
from encamp.agent import limits
resource.setrlimit(resource.RLIMIT_NOFILE, (20, {files}))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {size}))
limits.lift()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), *resource.getrlimit(resource.RLIMIT_FSIZE))
"""


def lifted(files: int, size: int) -> list[int]:
    program = PROGRAM.format(files=files, size=size)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_soft_limits_rise() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft_files, hard_files, soft_size, _ = lifted(hard, resource.RLIM_INFINITY)
    assert (soft_files, hard_files, soft_size) == (min(hard, FILES), hard, resource.RLIM_INFINITY)


@pytest.mark.parametrize("raises", [True, False])
def test_no_program_gets_more_descriptors_than_it_can_look_at(monkeypatch: pytest.MonkeyPatch, raises: bool) -> None:
    """A login under Docker may have 2^30 of them, which this machine need not permit."""
    given = {resource.RLIMIT_NOFILE: (2**30, 2**30)}

    def set_limit(number: int, limits: tuple[int, int]) -> None:
        if limits[1] > given.get(number, (0, 8192))[1] and not raises:
            raise ValueError("not allowed to raise maximum limit")
        given[number] = limits

    monkeypatch.setattr(resource, "getrlimit", lambda number: given.get(number, (4096, 8192)))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    limits.lift()
    assert given[resource.RLIMIT_NOFILE] == (FILES, 2**30)


def may_raise() -> bool:
    """Whether this process has the right to (CAP_SYS_RESOURCE): root in a container may lack it."""
    with open("/proc/self/status", encoding="ascii") as stream:
        held = next(line.split()[1] for line in stream if line.startswith("CapEff:"))
    return bool(int(held, 16) >> 24 & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hard_limits_are_lifted_by_who_may() -> None:
    soft_files, hard_files, soft_size, hard_size = lifted(30, 8192)
    if may_raise():
        assert soft_files == hard_files >= 4096
        assert (soft_size, hard_size) == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    else:
        assert (soft_files, hard_files, soft_size, hard_size) == (30, 30, 8192, 8192)
