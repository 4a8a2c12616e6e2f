"""A socket unit that holds its port, whichever of its services runs."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.listening import SYSTEMD, listening_sockets, owns
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state


@kind
class ListeningSocket(Resource):
    """A socket unit through which systemd itself listens on a port, now and at boot.

    ``name``: the unit; ``address`` (an IP address) and ``port``: what its file says. ``services``: the units that it
    hands the port to. Only where it does not listen there yet, they are stopped (one of them may hold the port), the
    socket is started anew, and those that ran are started again.
    """

    name: str
    address: str
    port: int
    services: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        state = unit_state(host, self.name)
        changes = [] if state.enabled else [Change("enabled", "no", "yes")]
        if not (state.active and self._listens(host)):
            before = "another address" if state.active else str(state)
            changes.append(Change("listens", before, f"on {self.address} port {self.port}"))
        return changes

    def _listens(self, host: Reader) -> bool:
        """Whether systemd has the port. A changed file that is loaded does not move the socket."""
        return owns(host, SYSTEMD, listening_sockets(host, self.port, self.address))

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from encamp.resources.systemd.control import change_state

        differs = {change.what for change in changes}
        if "enabled" in differs:
            host.run(["systemctl", "enable", "--", self.name])
        if "listens" not in differs:
            return
        running = [name for name in self.services if not unit_state(host, name).stopped]
        for name in running:
            change_state(host, "stop", name)
        change_state(host, "restart", self.name)
        for name in running:
            change_state(host, "start", name)
