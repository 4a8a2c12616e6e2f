"""The units of an instance, gone."""

from __future__ import annotations

import re
from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import change_state, unit_state

DIRECTORY = "/etc/systemd/system"
MARK = b"# Managed by encamp"


@kind
class InstanceUnitsAbsent(Resource):
    """No unit of a Prefect instance: each is stopped (workers finish their flow runs first), disabled and removed.

    ``instance``: its name. ``server_unit``: the unit of its server. ``users``: who its units run as. Units that encamp
    did not write are left alone.
    """

    instance: str
    server_unit: str = ""
    users: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        return [Change(name, str(unit_state(host, name)), "absent") for name in self._units(host)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        # Workers before the server: a worker that drains needs its API.
        for name in sorted(self._units(host), key=lambda name: name == self.server_unit):
            if not unit_state(host, name).stopped:
                host.progress(f"stopping {name}")
                change_state(host, "stop", name)
            host.query(["systemctl", "disable", "--", name])
            host.remove(f"{DIRECTORY}/{name}.d")
            host.remove(f"{DIRECTORY}/{name}")
        host.run(["systemctl", "daemon-reload"])

    def _units(self, host: Reader) -> list[str]:
        names = [name for name in host.listdir(DIRECTORY) if re.fullmatch(r"prefect-.+\.service", name)]
        return [name for name in names if self._is_ours(name, host.read(f"{DIRECTORY}/{name}") or b"")]

    def _is_ours(self, name: str, text: bytes) -> bool:
        if not text.startswith(MARK):
            return False
        user = re.search(rb"^User=(.+)$", text, re.MULTILINE)
        return name == self.server_unit or (user is not None and user[1].decode() in self.users)
