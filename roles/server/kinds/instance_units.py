"""The units of an instance, gone."""

from __future__ import annotations

import re
from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.ownership import is_marked
from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import DIRECTORY, name_kept
from encamp.resources.systemd.unit_state import unit_state


@kind
class InstanceUnitsAbsent(Resource):
    """No unit of a Prefect instance: each is stopped (workers finish their flow runs first), disabled and removed.

    ``instance``: its name. ``server_unit``: the unit of its server. ``config``: the folder of the environment files
    that its units read. Units and drop-ins that encamp did not write are kept, and notes name those drop-ins.
    """

    instance: str
    server_unit: str = ""
    config: str = ""

    def check(self, host: Reader) -> list[Change]:
        units = self._units(host)
        for name in units:
            name_kept(host, name)
        return [Change(name, str(unit_state(host, name)), "absent") for name in units]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from encamp.resources.systemd import halted
        from encamp.resources.systemd.control import change_state

        # Workers before the server: a worker that drains needs its API.
        for name in sorted(self._units(host), key=lambda name: name == self.server_unit):
            if not unit_state(host, name).stopped:
                host.progress(f"stopping {name}")
                change_state(host, "stop", name)
            host.query(["systemctl", "disable", "--", name])
            host.remove(f"{DIRECTORY}/{name}")
            for folder in (halted.STOPPED, halted.DRAINED):  # of this unit, not of one that a later deploy makes
                halted.clear(host, name, folder)
        host.run(["systemctl", "daemon-reload"])

    def _units(self, host: Reader) -> list[str]:
        names = [name for name in host.listdir(DIRECTORY) if re.fullmatch(r"prefect-.+\.service", name)]
        return [name for name in names if self._is_ours(name, host.read(f"{DIRECTORY}/{name}") or b"")]

    def _is_ours(self, name: str, text: bytes) -> bool:
        reads = f"\nEnvironmentFile={self.config}/".encode()
        return is_marked(text) and (name == self.server_unit or reads in text)
