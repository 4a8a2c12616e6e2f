"""The timers of backups that are declared, and no others."""

from __future__ import annotations

import re
from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.ownership import is_marked
from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import DIRECTORY

TIMER = re.compile(r"prefect-(backup|rehearsal)(-.+)?\.timer")


@kind
class BackupTimersOnly(Resource):
    """No timer for backups but ``kept``, by their full names: others that encamp wrote are stopped and removed, with
    their services. Backups stay. ``among``: only these timers are looked at; empty: all."""

    name: str
    kept: tuple[str, ...] = ()
    among: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        return [Change(name, "present", "absent") for name in self._others(host)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for timer in self._others(host):
            host.query(["systemctl", "disable", "--now", "--", timer])
            for name in (f"{timer[: -len('.timer')]}.service", timer):
                if is_marked(host.read(f"{DIRECTORY}/{name}") or b""):
                    host.remove(f"{DIRECTORY}/{name}")
        host.run(["systemctl", "daemon-reload"])

    def _others(self, host: Reader) -> list[str]:
        names = [name for name in host.listdir(DIRECTORY) if TIMER.fullmatch(name) and name not in self.kept]
        names = [name for name in names if not self.among or name in self.among]
        return [name for name in names if is_marked(host.read(f"{DIRECTORY}/{name}") or b"")]
