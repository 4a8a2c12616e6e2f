"""The unit of a worker or agent: stopping takes as long as its flow runs do, and nothing is held up by that."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.restart import Restart
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit_state import unit_name, unit_state
from roles.prefect.kinds.memory import memory_of


@kind
class WorkerRestart(Restart):
    """Restarts the unit of a worker or agent once its flow runs are over (WorkerDrain waits for that).

    ``unit``: the unit's name. The restart is handed to systemd: it takes place even if the link to the host breaks.
    """

    unit: str

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        queue(host, "restart", self.unit)


@kind
class WorkerService(Service):
    """The unit of a worker or agent that runs, and starts at boot.

    ``name``: the unit's name. ``running``, ``enabled``: as of a Service. A unit that is still letting its flow runs end
    is started once it has (WorkerDrain waits for that). One that was drained (`fab drain`) is left alone.
    """

    name: str
    running: bool = True
    enabled: bool = True

    def check(self, host: Reader) -> list[Change]:
        changes = super().check(host)
        if changes and self._is_drained(host):
            return []
        if memory_of(self).get("queued") and not unit_state(host, self.name).stopped:
            return [change for change in changes if change.what != "running"]
        return changes

    def _is_drained(self, host: Reader) -> bool:
        """Whether it is to be down."""
        from encamp.resources.systemd.power import left_drained

        return left_drained(host, self.name)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if self.running and unit_state(host, self.name).active_state == "deactivating":
            changes = [change for change in changes if change.what != "running"]
            queue(host, "start", self.name)
            memory_of(self)["queued"] = True
        super().apply(host, changes)


def queue(host: System, verb: str, unit: str) -> None:
    """Have systemd start or restart a unit, after its stop where one is under way. Does not wait."""
    name = unit_name(unit)
    if unit_state(host, name).broken:
        from encamp.resources.systemd.control import clear_failure

        clear_failure(host, name)
    host.run(["systemctl", verb, "--no-block", "--", name])
