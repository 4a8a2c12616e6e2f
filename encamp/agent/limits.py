"""The limits that a login hands to its processes (ulimit, limits.conf): made for people, they would stop a deploy."""

from __future__ import annotations

import contextlib
import resource

#: Memory, files, processes and time of what the agent starts: package managers, databases, Python environments.
_NAMES = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_RSS", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CPU", "RLIMIT_MEMLOCK")
#: Open files. Programs of package managers look at every number below the soft limit: as many as a Postgres or an
#: installation of Python packages may need, and no more. Under Docker a login may have 2^30, which costs minutes.
_FILES = 65536
#: What the kernel gives a system's first process as its hard limit.
_LEAST_HARD = 4096


def lift() -> None:
    """Lift the inherited limits: root's altogether, another user's up to what is allowed.

    The hard limit of open files is never lowered; the soft one is set to what programs need.
    """
    for name in _NAMES:
        number = getattr(resource, name, None)
        if number is not None:
            _set(number, resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = hard if hard == resource.RLIM_INFINITY else max(_LEAST_HARD, hard)
    _set(resource.RLIMIT_NOFILE, _FILES, wanted)


def _set(number: int, soft: int, hard: int) -> None:
    """Both limits; without the right to raise the hard one (CAP_SYS_RESOURCE), the soft one up to it."""
    for most in (hard, resource.getrlimit(number)[1]):
        with contextlib.suppress(OSError, ValueError):
            return resource.setrlimit(number, (_least(soft, most), most))


def _least(soft: int, hard: int) -> int:
    """A soft limit that a hard one permits. RLIM_INFINITY is a negative number on some systems."""
    return hard if soft == resource.RLIM_INFINITY else soft if hard == resource.RLIM_INFINITY else min(soft, hard)
