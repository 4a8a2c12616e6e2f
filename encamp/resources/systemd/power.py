"""Stopping, starting and restarting units that are there, each with its socket unit where it has one."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd import halted
from encamp.resources.systemd.control import change_state, clear_failure
from encamp.resources.systemd.unit_state import unit_name, unit_state


def socket_of(host: Reader, unit: str) -> list[str]:
    """The socket unit that listens for a service, if there is one: as long as it listens, it starts the service."""
    name = unit_name(unit).removesuffix(".service") + ".socket"
    return [name] if unit_state(host, name).exists else []


@kind
class UnitStopped(Resource):
    """A unit that does not run until it is started again, deployed, or the host boots; nor does its socket unit.

    ``name``: the unit's. ``by``: who stops it, which is kept on the host. A unit that does not exist is stopped.
    """

    name: str
    by: str = ""

    def check(self, host: Reader) -> list[Change]:
        running = [unit for unit in (*socket_of(host, self.name), self.name) if not unit_state(host, unit).stopped]
        return [Change("running", str(unit_state(host, unit)), "stopped") for unit in running[-1:]]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.name)
        halted.mark(host, name, self.by)
        host.run(["systemctl", "stop", "--", *socket_of(host, name), name])
        if unit_state(host, name).broken:
            clear_failure(host, name)


@kind
class UnitStarted(Resource):
    """A unit that runs, and its socket unit.

    ``name``: the unit's. One that does not exist is a failure: a deploy makes it.
    """

    name: str

    def check(self, host: Reader) -> list[Change]:
        require(host, self.name)
        if left_drained(host, self.name):
            return []
        idle = [unit for unit in (*socket_of(host, self.name), self.name) if not unit_state(host, unit).active]
        return [Change("running", str(unit_state(host, unit)), "active") for unit in idle[-1:]]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for unit in socket_of(host, self.name):
            change_state(host, "start", unit)
        change_state(host, "start", self.name)
        halted.clear(host, self.name)


@kind
class UnitRestarted(Resource):
    """A unit that was restarted in this run. A stopped one is started. Its socket unit goes on listening.

    ``name``: the unit's.
    """

    name: str

    def check(self, host: Reader) -> list[Change]:
        require(host, self.name)
        if left_drained(host, self.name) or vars(self).get("_done"):  # the loop checks again after it was applied
            return []
        return [Change("restart", str(unit_state(host, self.name)), "restarted")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for unit in socket_of(host, self.name):
            change_state(host, "start", unit)
        self.restart(host)
        halted.clear(host, self.name)
        object.__setattr__(self, "_done", True)

    def restart(self, host: System) -> None:
        """Restart the unit."""
        change_state(host, "restart", self.name)


def left_drained(host: Reader, unit: str) -> bool:
    """Whether a unit was drained: then it is noted, and left alone."""
    by = halted.drained(host, unit)
    if by:
        host.note(f"{unit_name(unit)} was drained {by}: it stays stopped until `fab undrain`")
    return bool(by)


def require(host: Reader, unit: str) -> None:
    """Raise Failure for a unit that is not there."""
    if not unit_state(host, unit).exists:
        raise Failure(
            f"{unit_name(unit)} does not exist on this host", "it was never deployed, or removed", "`fab deploy`"
        )
