"""A TCP port that no other program listens on."""

from __future__ import annotations

import re
import socket
from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.listening import SYSTEMD, listening_sockets, owns
from encamp.resources.system import Reader, System


@kind
class FreePort(Resource):
    """A TCP port that is free, or used by encamp's own service ``unit``. Otherwise refused, with the program's name.

    ``bind``: the address to listen on; one that is not the host's is refused, too. Empty: any. ``instead``: what the
    operator can do other than stop the program; empty: set another ``port:``. ``container``: a Docker container that
    may use the port. ``socket``: encamp's own socket unit, through which systemd may hold the port for ``unit``.
    """

    port: int
    unit: str = ""
    bind: str = ""
    instead: str = ""
    container: str = ""
    socket: str = ""

    def check(self, host: Reader) -> list[Change]:
        if self.bind and not is_here(self.bind):
            raise Refused(
                f"{self.bind} is not an address of this host", fix="set bind: to 0.0.0.0 or an address of the host"
            )
        sockets = listening_sockets(host, self.port)
        if not sockets:
            return []
        processes = filter(str.isdigit, host.listdir("/proc"))
        if self.unit and any(_in_unit(host, pid, self.unit) and owns(host, pid, sockets) for pid in processes):
            return []
        if self.container and self._in_container(host, sockets):
            return []
        if self.socket and owns(host, SYSTEMD, sockets) and self._is_of_socket(host):
            return []
        raise self._taken(port_holder(host, self.port))

    def _in_container(self, host: Reader, sockets: set[str]) -> bool:
        from encamp.resources.docker.api import container_pids

        return any(owns(host, str(pid), sockets) for pid in container_pids(host, self.container))

    def _is_of_socket(self, host: Reader) -> bool:
        """Whether it is this socket unit that systemd listens for, of all that it has."""
        shown = host.query(["systemctl", "show", "--property=ActiveState,Listen", "--", self.socket]).out.split()
        return "ActiveState=active" in shown and any(word.endswith(f":{self.port}") for word in shown)

    def _taken(self, holder: str) -> Refused:
        by_hand = "`fab adopt` continues a Prefect server with its data; else " if "prefect" in holder else ""
        return Refused(
            f"port {self.port} is already in use by {holder}",
            fix=f"{by_hand}stop that program, or {self.instead or 'set another port: in the inventory'} "
            f"(`ss -ltnp sport = :{self.port}` shows it)",
        )

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("encamp never frees a port")


def port_holder(host: Reader, port: int) -> str:
    """The program that listens on ``port``, with its process id and systemd unit; empty if none does."""
    sockets = listening_sockets(host, port)
    if not sockets:
        return ""
    for pid in filter(str.isdigit, host.listdir("/proc")):
        if owns(host, pid, sockets):
            name = (host.read(f"/proc/{pid}/comm") or b"?").decode("utf-8", "replace").strip()
            unit = re.findall(rb"/([^/\n]+\.(?:service|scope|socket))", host.read(f"/proc/{pid}/cgroup") or b"")
            return f"{name} (pid {pid}" + (f", {unit[-1].decode('utf-8', 'replace')})" if unit else ")")
    return "another program"


def is_here(address: str) -> bool:
    """Whether a socket can be bound to the address, with any free port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _in_unit(host: Reader, pid: str, unit: str) -> bool:
    return f"/{unit}" in (host.read(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace")
