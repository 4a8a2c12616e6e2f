"""Converge hosts: plans in, events to listeners, outcomes out. The only place where waves of hosts run in parallel."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import getpass
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from encamp import bundle, plan
from encamp.errors import BecomeRefused, EncampError, Unreachable
from encamp.plan import HostPlan
from encamp.report import Listener, Outcome
from encamp.schedule import Wave
from encamp.shared.wire import BlobStore
from encamp.transport import converse

if TYPE_CHECKING:
    from encamp.reach import Reach


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a run goes: ``check`` changes nothing, ``diff`` shows contents, ``forks`` hosts run at once."""

    check: bool = False
    diff: bool = False
    forks: int = 10


class Run:
    """One invocation over some hosts. ``reach`` knows how to get to each; ``listeners`` hear every event."""

    def __init__(self, command: str, mode: Mode, reach: Reach, listeners: Sequence[Listener]) -> None:
        self._mode, self._reach, self._listeners = mode, reach, listeners
        self._store = BlobStore()
        self._identity: dict[str, Any] = {
            "id": uuid.uuid4().hex[:12],
            "command": command,
            "who": getpass.getuser(),
            "from": socket.gethostname(),
            "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        }

    def converge(self, waves: Sequence[Wave], plans: Mapping[tuple[str, tuple[str, ...]], HostPlan]) -> list[Outcome]:
        """Work through the waves. A host that fails stops later waves; hosts under way finish.

        ``plans`` holds a plan for each (host, stages) of the waves.
        """
        outcomes = {host: Outcome(host) for wave in waves for host in wave.hosts}
        for wave in waves:
            jobs = {outcomes[host]: plans[host, stages] for host, stages in wave.hosts.items()}
            self._parallel(jobs)
            if any(outcome.status != "ok" for outcome in jobs):
                break
        return list(outcomes.values())

    def _parallel(self, jobs: Mapping[Outcome, HostPlan]) -> None:
        if len(jobs) == 1:
            for outcome, host_plan in jobs.items():
                self._host(outcome, host_plan)
            return
        with concurrent.futures.ThreadPoolExecutor(self._mode.forks) as pool:
            for done in [pool.submit(self._host, outcome, host_plan) for outcome, host_plan in jobs.items()]:
                done.result()

    def _host(self, outcome: Outcome, host_plan: HostPlan) -> None:
        """Converge one host and fill in its outcome. Never raises for what the host does."""
        started = time.monotonic()
        try:
            self._talk(outcome, host_plan)
        except Unreachable as error:
            outcome.status, outcome.failure = "unreachable", _failure_data(error)
        except EncampError as error:
            step = "become root" if isinstance(error, BecomeRefused) else "start the agent"
            outcome.status, outcome.failure = "failed", {"step": step, **_failure_data(error)}
        outcome.seconds += time.monotonic() - started
        for listener in self._listeners:
            listener.ended(outcome)

    def _talk(self, outcome: Outcome, host_plan: HostPlan) -> None:
        job = plan.job_for(host_plan, self._identity, self._store, self._mode.check, self._mode.diff)
        payload = bundle.pack(job, plan.third_party(host_plan))
        link = self._reach.open(outcome.host)
        ended = False
        try:
            for event in converse(link, self._reach.remote(outcome.host), payload, self._store, outcome.traffic):
                ended = self._take(outcome, event) or ended
                for listener in self._listeners:
                    listener.event(outcome.host, event)
        finally:
            link.close()
        if not ended:
            raise Unreachable("the session ended before the agent was done", "run again: it continues where it was cut")

    def _take(self, outcome: Outcome, event: dict[str, Any]) -> bool:
        """Keep what the recap needs of an event. True for the one that ends a run."""
        kind = event["event"]
        if kind == "step" and event["status"] == "failed":
            outcome.failure = event
        elif kind == "note":
            outcome.notes.append(event["text"])
        elif kind == "crash":
            outcome.status = "failed"
            outcome.failure = {"step": "agent", "cause": "a bug of encamp", **event}
        elif kind == "done":
            outcome.status = event["outcome"]
            for status, count in event.get("counts", {}).items():
                outcome.counts[status] += count
            if event["outcome"] == "locked":
                outcome.failure = _lock_failure(event["holder"])
        return kind in ("done", "crash")


def _failure_data(error: EncampError) -> dict[str, Any]:
    return {"reason": error.message, "fix": error.fix}


def _lock_failure(holder: Mapping[str, Any]) -> dict[str, Any]:
    since = datetime.datetime.fromtimestamp(holder.get("since", 0)).astimezone().isoformat(timespec="seconds")
    return {
        "reason": f"another run is at work there: {holder.get('command', 'unknown')} by {holder.get('who', 'unknown')} "
        f"from {holder.get('from', 'unknown')}, since {since}, pid {holder.get('pid', '?')} on the host",
        "fix": "wait until it has ended, then run again (the lock ends with its process)",
    }


def exit_code(outcomes: Sequence[Outcome], check: bool, want_exit_code: bool) -> int:
    """0 fine, 2 a host failed, 3 unreachable, 5 locked, 10 with ``--check --exit-code`` when something would change."""
    statuses = {outcome.status for outcome in outcomes}
    for status, code in (("failed", 2), ("unreachable", 3), ("locked", 5)):
        if status in statuses:
            return code
    if check and want_exit_code and any(outcome.counts["changed"] for outcome in outcomes):
        return 10
    return 0
