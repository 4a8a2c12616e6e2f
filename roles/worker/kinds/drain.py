"""Waiting for a worker that finishes its flow runs, which are listed by name."""

from __future__ import annotations

import time
from typing import ClassVar, Optional, Sequence

from encamp.resources.base import Change, Failure, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_name, unit_state
from encamp.shared.secret import Secret
from roles.prefect.kinds.api_kind import ApiKind
from roles.worker.kinds import runs as worker_runs
from roles.worker.kinds.runs import FlowRun

#: Seconds between two lines about what is still running, and beyond the stop time-out for systemd to kill and start.
REPORT_EVERY, SLACK = 30.0, 60.0
CRASHED = {"type": "CRASHED", "name": "Crashed", "message": "its worker was stopped, and it did not finish in time"}
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@kind
class WorkerDrain(ApiKind):
    """A worker or agent that is not stopping: one that was stopped or restarted has let its flow runs end.

    ``unit``: the unit's name. ``api_url`` ends in ``/api``; ``auth`` is ``user:password`` where the server requires it.
    ``timeout``: seconds after which systemd kills what is left (the unit's TimeoutStopSec). ``killed_runs``: what
    happens to flow runs that were killed then, which the server continues to show as running: report, or crash (their
    state is set to Crashed, so that they hold no concurrency slot).
    """

    changes_host: ClassVar[bool] = False

    unit: str
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    timeout: int = 600
    killed_runs: str = "report"

    def check(self, host: Reader) -> list[Change]:
        state = unit_state(host, self.unit)
        if state.active_state != "deactivating":
            return []
        runs = worker_runs.running(host, self.unit)
        return [Change("draining", after=f"{len(runs)} flow runs" if runs else "ending")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        runs = worker_runs.named(host, self._api, worker_runs.running(host, self.unit))
        if runs:
            host.note(f"{self.unit} waits for its flow runs to finish: {worker_runs.listed(runs)}")
        seen = self._wait(host, runs)
        if not unit_state(host, self.unit).active and unit_state(host, self.unit).active_state != "activating":
            from encamp.resources.systemd.control import unit_failure

            raise unit_failure(host, unit_name(self.unit), f"{self.unit} did not start again after its flow runs ended")
        killed = [run for run in worker_runs.named(host, self._api, seen) if run.state not in OVER]
        if killed:
            self._report_killed(host, killed)

    def _wait(self, host: System, runs: Sequence[FlowRun]) -> list[str]:
        """Wait until the unit is not going down any more. Returns what was running at the last check."""
        last, reported = [run.id for run in runs], time.monotonic()

        def ended() -> bool:
            nonlocal reported
            if unit_state(host, self.unit).active_state not in ("deactivating", "inactive"):
                return True
            last[:] = worker_runs.running(host, self.unit) or last
            if time.monotonic() - reported >= REPORT_EVERY:
                reported = time.monotonic()
                left = worker_runs.named(host, self._api, worker_runs.running(host, self.unit))
                host.progress(f"{self.unit} is draining: {worker_runs.listed(left) or 'no flow run left'}")
            return False

        host.progress(f"waiting for {len(last)} flow runs of {self.unit} to finish; at most {self.timeout} s")
        if not host.wait_for(ended, self.timeout + SLACK, every=1.0):
            raise Failure(
                f"{self.unit} is still stopping after {self.timeout + SLACK:.0f} s",
                "its stop timeout has passed, and systemd has not killed the remaining processes",
                f"check it: systemctl status {self.unit}",
            )
        return last

    def _report_killed(self, host: System, killed: Sequence[FlowRun]) -> None:
        """Name the flow runs that the time-out cut off, and end them on the server where the setting says so."""
        crash = self.killed_runs == "crash"
        for run in killed:
            if crash:
                self._api.must(host, "POST", f"flow_runs/{run.id}/set_state", {"state": CRASHED, "force": True})
        after = "their state was set to Crashed" if crash else "the server still shows them as running"
        how = "" if crash else "; cancel or delete them there, or set worker_killed_runs: crash"
        host.note(f"{self.unit}: killed after {self.timeout} s: {worker_runs.listed(killed)}: {after}{how}")
