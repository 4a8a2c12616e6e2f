"""Which sockets listen, and who has them open, from /proc (proc(5))."""

from __future__ import annotations

import socket
import struct

from encamp.resources.system import Reader

#: The process id of systemd, which holds the sockets of all socket units.
SYSTEMD = "1"
_LISTEN = "0A"


def listening_sockets(host: Reader, port: int, address: str = "") -> set[str]:
    """Inodes of the sockets that listen on ``port``, from /proc/net/tcp and tcp6 (see proc(5)); on ``address`` alone
    where one is given."""
    inodes = set()
    wanted = _in_table(address) if address else ""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (host.read(table) or b"").decode().splitlines()[1:]:
            words = line.split()
            local, _, number = words[1].rpartition(":")
            if words[3] == _LISTEN and int(number, 16) == port and wanted in ("", local):
                inodes.add(words[9])
    return inodes


def _in_table(address: str) -> str:
    """An address as /proc/net/tcp has it: words of 32 bits, each in the host's own order."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    words = struct.unpack(f"={len(raw) // 4}I", raw)
    return "".join(f"{word:08X}" for word in words)


def owns(host: Reader, pid: str, inodes: set[str]) -> bool:
    """Whether a process has one of these sockets open."""
    for descriptor in _descriptors(host, pid):
        stat = host.stat(f"/proc/{pid}/fd/{descriptor}")
        if stat and stat.target.startswith("socket:[") and stat.target[8:-1] in inodes:
            return True
    return False


def _descriptors(host: Reader, pid: str) -> list[str]:
    try:
        return host.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
