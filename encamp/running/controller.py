"""The part of a host's plan that is carried out on this machine, by the agent's own loop.

So events, statuses and saved plans are those of any step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from encamp.agent.audit import Audit
from encamp.agent.journal import Journal
from encamp.agent.loop import Loop
from encamp.agent.saved_plan import SavedPlanChecker
from encamp.agent.system import Host
from encamp.cloud.step import Undecided
from encamp.planning.job import Job
from encamp.planning.plan import Step
from encamp.resources.base import Change, Failure
from encamp.shared.record import replace
from encamp.shared.wire import DRIFTED, BlobStore
from encamp.transport.events import DoneEvent, FailureData, HostEvent

Send = Callable[[HostEvent], None]


class ControllerLoop(Loop):
    """The loop, where a step may be left to the operator."""

    def _within_timeout(self, number: int, step: dict[str, Any]) -> tuple[str, list[Change]]:
        """Without an alarm, which is for a process of one thread: each request to a cloud has its own time limit."""
        try:
            return self._converge(number, step)
        except Undecided as left:
            self._host.note("\n".join(filter(None, (f"{step['id']}: {left.reason}", left.cause, left.fix))))
            return "unknown", [Change("left to you", after=left.reason)]


class NoAudit(Audit):
    """What this machine does stands in the record of its runs."""

    def _write(self, entry: dict[str, Any]) -> None:
        """Nothing."""


class ControllerPart:
    """This machine's steps of a job for a host. ``first`` is the number of the first among all steps of the host."""

    def __init__(self, job: Job, first: int, send: Send) -> None:
        self._job, self._first, self._send = job, first, send
        self._store = BlobStore()
        want_diff = job.diff or job.plan.saved is not None
        self._machine = Host(lambda blob: self._store.get(blob.sha256), self._say, want_diff)
        saved = job.wire(self._store).get("plan")
        self._checker = SavedPlanChecker(saved, self._machine) if saved else None

    def precheck(self) -> DoneEvent:
        """Before the host is touched: whether the steps can be carried out. Only failures are sent."""
        return self._run(replace(self._job, check=True), self._machine.recording([]), self._send_failure)

    def carry_out(self, host: DoneEvent) -> DoneEvent:
        """Carry out the steps after those of the host, which ended with ``host``. Returns how all of it ended."""
        ended = self._run(self._job, self._machine, self._send_numbered)
        counts = {status: count + ended["counts"][status] for status, count in host["counts"].items()}
        return {**host, **ended, "counts": counts, "seconds": round(host["seconds"] + ended["seconds"], 3)}

    def _run(self, job: Job, machine: Host, send: Send) -> DoneEvent:
        started = time.monotonic()
        if job.check:  # a proof of what is not deployed yet would fail
            changing = [item for item in job.plan.items if isinstance(item, Step) and item.resource.changes_host]
            job = replace(job, plan=replace(job.plan, items=tuple(changing)))
        wire = job.wire(self._store)
        sender = cast("Callable[[Mapping[str, Any]], None]", send)
        journal = Journal(os.devnull, read_only=True)
        loop = ControllerLoop(machine, journal, NoAudit("", wire["run"]), sender, wire, self._checker)
        outcome: DoneEvent = {"event": "done", "outcome": "ok"}
        try:
            loop.run()
        except Failure:
            outcome = {"event": "done", "outcome": "failed"}
        drift = self._checker.drift() if self._checker and job.check and outcome["outcome"] == "ok" else None
        if drift:
            outcome = {"event": "done", "outcome": DRIFTED, "failure": cast(FailureData, drift)}
        return {**outcome, "counts": loop.counts, "seconds": time.monotonic() - started}

    def _send_failure(self, event: HostEvent) -> None:
        if event["event"] == "step" and event["status"] == "failed":
            self._send(event)

    def _send_numbered(self, event: HostEvent) -> None:
        self._send({**event, "number": event["number"] + self._first} if event["event"] == "start" else event)

    def _say(self, kind: str, text: str, *more: Any) -> None:
        if kind == "note":
            self._send({"event": "note", "text": text})
        elif kind == "progress":
            self._send({"event": "progress", "text": text})
