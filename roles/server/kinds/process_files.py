"""What a process has open, from /proc (see proc(5))."""

from __future__ import annotations

import os

from encamp.resources.system import Reader
from encamp.resources.systemd.unit_state import unit_state


def open_files(host: Reader, pid: int) -> list[str]:
    """What a process and its children have open: paths, and sockets as ``socket:[inode]``."""
    if not pid:
        return []
    children = (host.read(f"/proc/{pid}/task/{pid}/children") or b"").split()
    found: list[str] = []
    for number in (pid, *map(int, children)):
        folder = f"/proc/{number}/fd"
        links = (host.stat(os.path.join(folder, name)) for name in host.listdir(folder))
        found.extend(link.target for link in links if link)
    return found


def files_of(host: Reader, unit: str, container: str = "") -> list[str]:
    """What a server's processes have open: those of its container, where it has one, or of its unit."""
    if not container:
        return open_files(host, unit_state(host, unit).main_pid)
    from encamp.resources.docker.api import container_pids

    return [name for pid in container_pids(host, container) for name in open_files(host, pid)]
