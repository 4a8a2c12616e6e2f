"""Stopping and restarting workers and agents: each lets its flow runs end first."""

from __future__ import annotations

from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd import halted
from encamp.resources.systemd.control import change_state, clear_failure
from encamp.resources.systemd.halted import drained
from encamp.resources.systemd.power import UnitRestarted, UnitStopped, require
from encamp.resources.systemd.unit_state import unit_name, unit_state
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api
from roles.worker.kinds import runs as worker_runs
from roles.worker.kinds.service import queue

#: Seconds beyond the unit's stop time-out for systemd to kill what is left, and between two lines about what runs.
SLACK, REPORT_EVERY = 60.0, 30.0


@kind
class WorkerRestarted(UnitRestarted):
    """A worker or agent that was restarted in this run, once its flow runs are over (WorkerDrain waits for that).

    ``name``: the unit's.
    """

    name: str

    def restart(self, host: System) -> None:
        queue(host, "restart", self.name)


@kind
class WorkerStopped(UnitStopped):
    """A worker or agent that does not run; one that is stopped takes no new flow runs and lets those that it has end.

    ``name``: the unit's; ``by``: as of UnitStopped. ``api_url`` ends in ``/api``; ``auth`` is ``user:password`` where
    the server requires it. ``timeout``: seconds after which systemd kills what is left (the unit's TimeoutStopSec).
    """

    name: str
    by: str = ""
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    timeout: int = 600

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.name)
        halted.mark(host, name, self.by)
        runs = worker_runs.running(host, name)
        host.run(["systemctl", "stop", "--no-block", "--", name])
        if runs:
            named = worker_runs.named(host, Api(self.api_url, self.auth, self.ca_file), runs)
            host.note(f"{name} waits for its flow runs to finish: {worker_runs.listed(named)}")
        host.progress(f"waiting for {name} to stop; at most {self.timeout} s")
        if not host.wait_for(lambda: unit_state(host, name).stopped, self.timeout + SLACK, every=1.0):
            raise Failure(
                f"{name} is still stopping after {self.timeout + SLACK:.0f} s", fix=f"systemctl status {name}"
            )
        if unit_state(host, name).broken:
            clear_failure(host, name)


@kind
class WorkerDrained(WorkerStopped):
    """A worker or agent that has let its flow runs end and takes no more, across boots and deploys, until undrained.

    Its fields are those of WorkerStopped.
    """

    def check(self, host: Reader) -> list[Change]:
        changes = super().check(host)
        if drained(host, self.name) is None:
            changes.append(Change("drained", "no", "yes"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.name)
        require(host, name)
        halted.mark(host, name, self.by, halted.DRAINED)
        host.run(["systemctl", "disable", "--", name])
        if not unit_state(host, name).stopped:
            super().apply(host, changes)
        halted.clear(host, name)


@kind
class WorkerUndrained(Resource):
    """A worker or agent that runs and starts at boot again, where it was drained; any other stays as it is.

    ``name``: the unit's.
    """

    name: str

    def check(self, host: Reader) -> list[Change]:
        return [Change("drained", "yes", "no")] if drained(host, self.name) else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name = unit_name(self.name)
        host.run(["systemctl", "enable", "--", name])
        change_state(host, "start", name)
        halted.clear(host, name, halted.DRAINED)  # last: an undrain that is cut off is finished by the next
