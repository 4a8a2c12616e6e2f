"""The limits that a login hands to its processes (ulimit, limits.conf): made for people, they would stop a deploy."""

from __future__ import annotations

import contextlib
import resource

#: Memory, files, processes and time of what the agent starts: package managers, databases, Python environments.
_NAMES = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_RSS", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CPU", "RLIMIT_MEMLOCK")
#: Open files: what the kernel gives a system's first process as its hard limit.
_FILES = 4096


def lift() -> None:
    """Lift the inherited limits: root's altogether, another user's up to what is allowed. Never lowers one."""
    for name in _NAMES:
        number = getattr(resource, name, None)
        if number is not None:
            _set(number, resource.RLIM_INFINITY)
    _set(resource.RLIMIT_NOFILE, max(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _set(number: int, wanted: int) -> None:
    """Both limits to ``wanted``; without the right to (CAP_SYS_RESOURCE), the soft one to the hard one."""
    hard = resource.getrlimit(number)[1]
    for limits in ((wanted, wanted), (hard, hard)):
        with contextlib.suppress(OSError, ValueError):
            return resource.setrlimit(number, limits)
