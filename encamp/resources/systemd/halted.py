"""Units that do not run on purpose, and who wanted that: stopped, until the next boot at most, or drained, for good.

The mark of a stop is in /run: as the stop itself it is over with the next boot. That of a drain outlives it.
"""

from __future__ import annotations

import time
from typing import Optional

from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_name

STOPPED, DRAINED = "/run/encamp/stopped", "/var/lib/encamp/drained"


def halted(host: Reader, unit: str) -> Optional[str]:
    """By whom and when a unit was stopped on purpose, in words; None where it was not."""
    return _by(host, f"{STOPPED}/{unit_name(unit)}")


def drained(host: Reader, unit: str) -> Optional[str]:
    """By whom and when a unit was drained, in words; None where it is not."""
    return _by(host, f"{DRAINED}/{unit_name(unit)}")


def _by(host: Reader, path: str) -> Optional[str]:
    stat, text = host.stat(path), host.read(path)
    if stat is None or text is None:
        return None
    when = time.strftime("%H:%M UTC on %Y-%m-%d", time.gmtime(stat.mtime))
    return f"by {text.decode('utf-8', 'replace').strip()} at {when}"


def mark(host: System, unit: str, by: str, folder: str = STOPPED) -> None:
    """Note that a unit is stopped on purpose, or (``folder``) drained."""
    host.mkdir(folder.rpartition("/")[0], "root", "root", 0o700)
    host.mkdir(folder, "root", "root", 0o700)
    host.write(f"{folder}/{unit_name(unit)}", f"{by}\n", mode=0o600)


def clear(host: System, unit: str, folder: str = STOPPED) -> None:
    """A unit is started again, undrained or removed."""
    path = f"{folder}/{unit_name(unit)}"
    if host.stat(path):
        host.remove(path)
