"""Converge hosts: plans in, events to listeners, outcomes out. The only place where waves of hosts run in parallel."""

from __future__ import annotations

import contextlib
import datetime
import queue
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from encamp import __version__
from encamp.errors import Unreachable
from encamp.output.listener import Listener
from encamp.output.outcome import NOT_REACHED, SLOW_SECONDS, Failure, Outcome
from encamp.planning import plan
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import HostPlan
from encamp.planning.rollout import Mode, Wave
from encamp.running import host_failures
from encamp.running.connectors import Connector
from encamp.shared.record import record, replace
from encamp.shared.wire import BlobStore
from encamp.support import user as current_user
from encamp.transport import bundle
from encamp.transport.agent_exec import Link, run_agent
from encamp.transport.events import DoneEvent, HostEvent

if TYPE_CHECKING:
    from encamp.running.controller import ControllerPart

#: How long an interrupted run waits for its threads, which stand in a connect at worst, before it prints the recap.
PATIENCE_SECONDS = 3.0


@record
class HostRun:
    """What one host does in a wave: its plan for these stages; ``outcome`` is filled in."""

    outcome: Outcome
    plan: HostPlan
    stages: tuple[str, ...]


class Run:
    """One invocation over some hosts. ``connector`` reaches each; ``listeners`` receive every event."""

    def __init__(self, command: str, mode: Mode, connector: Connector, listeners: Sequence[Listener]) -> None:
        self._mode, self._connector, self._listeners = mode, connector, listeners
        self._store = BlobStore()
        self._links: dict[str, Link] = {}
        self._stopped, self._closed = threading.Event(), threading.Event()
        self._begin_no_more = threading.Event()
        self._identity = new_identity(command)

    def converge(self, waves: Sequence[Wave], plans: Mapping[tuple[str, tuple[str, ...]], HostPlan]) -> list[Outcome]:
        """Work through the waves, each in its batches. Failures stop what comes after, as the rollout says; hosts under
        way finish, and a host that failed has no part in later waves.

        ``plans`` holds a plan for each (host, stages) of the waves. An interrupt (Ctrl-C) hangs up on the hosts under
        way, which end their step at hand by themselves; their outcome is ``interrupted``. Raises KeyboardInterrupt
        then: the listeners have the outcomes.
        """
        outcomes = {host: Outcome(host, left=_stages(host, waves)) for wave in waves for host in wave.hosts}
        for listener in self._listeners:
            listener.expect(list(outcomes.values()))
        try:
            self._in_order(waves, plans, outcomes)
        finally:
            for outcome in outcomes.values():
                if outcome.status == "ok" and outcome.left:
                    outcome.status = NOT_REACHED
        return list(outcomes.values())

    def _in_order(
        self,
        waves: Sequence[Wave],
        plans: Mapping[tuple[str, tuple[str, ...]], HostPlan],
        outcomes: Mapping[str, Outcome],
    ) -> None:
        for wave in waves:
            taking_part = {host: plans[host, stages] for host, stages in wave.hosts.items() if outcomes[host].may_go_on}
            for batch in self._mode.rollout.batches(taking_part):
                jobs = [HostRun(outcomes[host], host_plan, wave.hosts[host]) for host, host_plan in batch.items()]
                self._parallel(jobs)
                failed = sum(not outcomes[host].may_go_on for host in taking_part)
                if not self._mode.rollout.goes_on(failed, len(taking_part)):
                    return

    def _parallel(self, jobs: Sequence[HostRun]) -> None:
        """Converge hosts, as many at once as the mode says. Always in threads: an interrupt then reaches this one."""
        waiting: queue.SimpleQueue[HostRun] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        count = min(self._mode.forks, len(jobs))
        ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._work, args=(waiting, ended), daemon=True).start()
        running = count
        try:
            while running:
                with contextlib.suppress(queue.Empty):  # a signal that another thread got is seen after a time-out
                    ended.get(timeout=1)  # not Thread.join: interrupted, that takes a running thread for ended
                    running -= 1
        except KeyboardInterrupt:
            self._hang_up(running, ended)
            self._report_interrupted([job.outcome for job in jobs])
            raise

    def _work(self, waiting: queue.SimpleQueue[HostRun], ended: queue.SimpleQueue[None]) -> None:
        """One of the threads: takes host after host until none is left, or the run is stopped."""
        try:
            while not (self._stopped.is_set() or self._begin_no_more.is_set()):
                self._host(waiting.get_nowait())
        except queue.Empty:
            pass
        finally:
            ended.put(None)

    def _hang_up(self, running: int, ended: queue.SimpleQueue[None]) -> None:
        """Stop: no further host starts, and active ones lose their connection."""
        self._stopped.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        with contextlib.suppress(queue.Empty, KeyboardInterrupt):  # pressed again: do not wait
            for link in list(self._links.values()):
                link.close()
            for _ in range(running):
                ended.get(timeout=max(0.0, deadline - time.monotonic()))
        self._closed.set()

    def _report_interrupted(self, outcomes: Iterable[Outcome]) -> None:
        """Report the hosts whose thread did not end in time."""
        for outcome in outcomes:
            if outcome.status == "interrupted" and not outcome.failure:
                outcome.failure = host_failures.interruption(outcome)
                for listener in self._listeners:
                    listener.ended(outcome)

    def _host(self, job: HostRun) -> None:
        """Converge one host and fill in its outcome. Never raises: no host may hide another's result."""
        outcome, started = job.outcome, time.monotonic()
        outcome.status = "interrupted"  # until it ends otherwise
        self._report(outcome.host, {"event": "connect", "stages": list(job.stages), "steps": len(job.plan.steps)})
        try:
            self._talk(outcome, job.plan)
        except Exception as error:
            outcome.status, outcome.failure = host_failures.of_error(error, outcome, self._stopped.is_set())
        outcome.seconds += time.monotonic() - started
        if outcome.status == "ok":
            outcome.left = outcome.left[len(job.stages) :]
        elif self._mode.rollout.any_errors_fatal:
            self._begin_no_more.set()
        if not self._closed.is_set():
            for listener in self._listeners:
                listener.ended(outcome)

    def _talk(self, outcome: Outcome, host_plan: HostPlan) -> None:
        spec, mode = self._connector.launch_spec(outcome.host), self._mode
        on_host, here = host_plan.part(here=False), self._controller_part(outcome, host_plan)
        if here and not (mode.check or self._may_begin(outcome, here)):
            return
        job = Job(on_host, self._identity, mode.check, mode.diff, mode.wait, spec.step_timeout)
        if mode.check:
            spec = replace(spec, bootstrap=False)
        payload = bundle.pack(job.wire(self._store), plan.third_party(on_host))
        link = self._links[outcome.host] = self._connector.open(outcome.host)
        try:
            if self._stopped.is_set():
                raise Unreachable("stopped")
            for event in run_agent(link, spec, payload, self._store, outcome.traffic, on_host.doors):
                if here and event["event"] == "done" and event["outcome"] == "ok":
                    event = here.carry_out(event)
                self._pass_on(outcome, event)
        finally:
            link.close()
            self._links.pop(outcome.host, None)  # with all its buffers

    def _controller_part(self, outcome: Outcome, host_plan: HostPlan) -> ControllerPart | None:
        """The steps of a host that this machine carries out; None where there are none."""
        part, mode = host_plan.part(here=True), self._mode
        if not part.steps:
            return None
        from encamp.running.controller import ControllerPart

        job = Job(part, self._identity, mode.check, mode.diff)
        first = len(host_plan.steps) - len(part.steps)
        return ControllerPart(job, first, lambda event: self._pass_on(outcome, event))

    def _may_begin(self, outcome: Outcome, here: ControllerPart) -> bool:
        """Whether this machine's steps can be carried out. If not, the host is not touched."""
        ended = here.precheck()
        if ended["outcome"] != "ok":
            self._pass_on(outcome, ended)
        return ended["outcome"] == "ok"

    def _pass_on(self, outcome: Outcome, event: HostEvent) -> None:
        self._take(outcome, event)
        self._report(outcome.host, event)

    def _report(self, host: str, event: HostEvent) -> None:
        for listener in self._listeners:
            listener.event(host, event)

    def _take(self, outcome: Outcome, event: HostEvent) -> None:
        """Keep what the recap needs of an event."""
        if event["event"] == "start":
            outcome.step = event["step"]
        elif event["event"] == "step":
            outcome.counts[event["status"]] += 1
            if event["seconds"] >= SLOW_SECONDS:
                outcome.times.append((event["seconds"], event["step"]))
            if event["status"] == "failed":
                outcome.failure = Failure.of_step(event)
        elif event["event"] == "note":
            outcome.notes.append(event["text"])
        elif event["event"] == "crash":
            outcome.status = "failed"
            outcome.counts["failed"] += 1
            outcome.failure = Failure("agent", event["reason"], "a bug in encamp", detail=event["detail"])
        elif event["event"] == "done":
            outcome.status = event["outcome"]
            outcome.failure = _failure_of(event) or outcome.failure


def new_identity(command: str) -> RunIdentity:
    """That of a run of this machine's user that starts now."""
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return RunIdentity(secrets.token_hex(6), command, __version__, current_user.who(), socket.gethostname(), started)


def _failure_of(done: DoneEvent) -> Failure | None:
    """Why an agent did nothing: the host's lock is taken, or the host has drifted from a saved plan."""
    if done["outcome"] == "locked":
        return host_failures.lock_failure(done["holder"])
    found = done.get("failure")
    if not found:
        return None
    return Failure("", found["reason"], found.get("cause", ""), found.get("fix", ""), found.get("detail", ""))


def _stages(host: str, waves: Sequence[Wave]) -> tuple[str, ...]:
    """All stages of a host, in their order."""
    return tuple(stage for wave in waves for stage in wave.hosts.get(host, ()))
