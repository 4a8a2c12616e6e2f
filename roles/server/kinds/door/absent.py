"""A server without a door."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.ownership import is_marked
from encamp.resources.system import Reader, System
from encamp.resources.systemd.control import change_state
from encamp.resources.systemd.owners import DIRECTORY, name_kept
from encamp.resources.systemd.unit_state import unit_state
from roles.prefect.kinds.door.doorway import Doorway


@kind
class DoorAbsent(Resource):
    """No socket unit, no door and no maintenance of a Prefect server. With its socket, the server is stopped.

    ``server``: its unit. Units that encamp did not write are kept.
    """

    server: str

    def check(self, host: Reader) -> list[Change]:
        units = self._units(host)
        for name in units:
            name_kept(host, name)
        changes = [Change(name, str(unit_state(host, name)), "absent") for name in units]
        return changes + ([Change("notice", "present", "absent")] if host.stat(Doorway(self.server).notice) else [])

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for name in self._units(host):
            if not unit_state(host, name).stopped:
                host.progress(f"stopping {name}")
                change_state(host, "stop", name)
            host.query(["systemctl", "disable", "--", name])
            host.remove(f"{DIRECTORY}/{name}")
        host.run(["systemctl", "daemon-reload"])
        host.remove(Doorway(self.server).notice)

    def _units(self, host: Reader) -> list[str]:
        """Those that are there. The socket comes first: without it nothing starts the server again."""
        way = Doorway(self.server)
        names = (way.socket, way.door, f"{way.reopening}.timer", f"{way.reopening}.service")
        return [name for name in names if is_marked(host.read(f"{DIRECTORY}/{name}") or b"")]
