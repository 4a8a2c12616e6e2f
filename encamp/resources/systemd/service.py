"""Whether a systemd unit runs, and starts at boot."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import UnitState, unit_name, unit_state


@kind
class Service(Resource):
    """A systemd unit that runs or not, and starts at boot or not.

    ``running``: whether it runs now; a failed or crash-looping unit does not count as running. ``enabled``: whether it
    starts at boot. A unit that does not exist satisfies ``running=False, enabled=False``.
    """

    name: str
    running: bool = True
    enabled: bool = True

    def check(self, host: Reader) -> list[Change]:
        state = unit_state(host, self.name)
        if state.load == "masked" and (self.running or self.enabled):
            raise Refused(
                f"{self.name} is masked on this host",
                "a masked unit cannot start",
                f"to allow it: systemctl unmask {self.name}",
            )
        changes = []
        if state.enabled != self.enabled:
            changes.append(Change("enabled", _yes(state.enabled), _yes(self.enabled)))
        if not (state.active if self.running else state.stopped):
            changes.append(Change("running", self._before(host, state), "active" if self.running else "stopped"))
        return changes

    def _before(self, host: Reader, state: UnitState) -> str:
        """What it is now; of a unit that was stopped on purpose also by whom."""
        if not (self.running and state.stopped):
            return str(state)
        from encamp.resources.systemd.halted import halted

        stopped = halted(host, self.name)
        return f"{state}, stopped {stopped}" if stopped else str(state)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.name)
        state = unit_state(host, name)
        if not state.exists:
            raise Failure(
                f"unit {name} does not exist on this host", fix="declare its SystemdUnit or Packages before it"
            )
        differs = {change.what for change in changes}
        if "enabled" in differs:
            self._enable(host, name, state)
        if "running" in differs:
            from encamp.resources.systemd.control import change_state
            from encamp.resources.systemd.halted import clear

            change_state(host, "start" if self.running else "stop", name)
            clear(host, name)

    def _enable(self, host: System, name: str, state: UnitState) -> None:
        if self.enabled and state.file_state in ("static", "transient"):
            raise Failure(
                f"{name} cannot be enabled",
                "its unit file has no [Install] section, so nothing can start it at boot",
                "add one (WantedBy=multi-user.target), or declare enabled: false",
            )
        host.run(["systemctl", "enable" if self.enabled else "disable", "--", name])


def _yes(value: bool) -> str:
    return "yes" if value else "no"
