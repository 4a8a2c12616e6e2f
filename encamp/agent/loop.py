"""The loop: check, apply what differs, check again. Check mode, handlers and reporting live here and nowhere else."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional

from encamp.agent import step_timeout
from encamp.agent.audit import Audit
from encamp.agent.channel import ControllerGone
from encamp.agent.journal import Journal, mark_now
from encamp.agent.prefetch import Ahead
from encamp.agent.system import Host
from encamp.resources.base import Change, Failure, HandlerResource, Resource
from encamp.shared.wire import from_wire

if TYPE_CHECKING:
    from encamp.agent.saved_plan import Guard

FLUSH = "flush"
OWN_LIMIT_SLACK = 120.0


class Loop:
    """Works through a job's steps in order and sends one event a step.

    ``counts`` holds ok, changed (or would change), unknown and failed steps; ``failed`` is the id of the one that did.
    ``guard`` stands for a saved plan, which is being made, compared or applied.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        audit: Audit,
        send: Callable[[dict[str, Any]], None],
        job: dict[str, Any],
        guard: Optional[Guard] = None,
    ) -> None:
        self._host, self._journal, self._audit, self._send = host, journal, audit, send
        self._guard = guard
        self._check_only: bool = job["check"]
        self._steps: list[dict[str, Any]] = job["steps"]
        self._handlers: dict[str, Any] = job["handlers"]
        self._ahead = Ahead(host, self._steps)
        self._step_timeout: float = job.get("step_timeout", 0)
        self._would_notify: list[str] = []
        self._foretold: set[str] = set()
        self.counts = {"ok": 0, "changed": 0, "unknown": 0, "failed": 0}
        self.failed = ""

    def run(self) -> None:
        """Work through all steps, handlers last. Raises Failure after the event of the step that failed."""
        self._ahead.start()
        for number, step in enumerate(self._steps):
            if step.get("control") == FLUSH:
                self._flush()
            elif not step.get("when_changed") or self._is_due(step["id"]):
                self._step(number, step)
        self._flush()

    def _is_due(self, step_id: str) -> bool:
        """Whether a ``when_changed`` step is to be taken: something changed, in this run or in one cut short."""
        return step_id in self._journal.ids() or (self._check_only and self.counts["changed"] > 0)

    # -- one step -----------------------------------------------------------------------------------------------

    def _step(self, number: int, step: dict[str, Any]) -> None:
        started = time.monotonic()
        self._send({"event": "start", "step": step["id"], "number": number})
        with self._told(step["id"], started):
            status, changes = self._in_time(number, step)
            if step["id"] in self._journal.ids():
                self._journal.clear(step["id"])
        self._report(step["id"], status, changes, started)

    @contextlib.contextmanager
    def _told(self, step_id: str, started: float) -> Iterator[None]:
        """Tell the controller what goes wrong within. Raises Failure for it."""
        try:
            yield
        except ControllerGone:
            raise
        except Failure as failure:
            self._failed(step_id, failure, started)
            raise
        except Exception as error:
            bug = _bug(error)
            self._failed(step_id, bug, started)
            raise bug from error

    def _in_time(self, number: int, step: dict[str, Any]) -> tuple[str, list[Change]]:
        """Converge within the step's time. Raises Failure when that is up; what the step had started is killed then."""
        limit = self._limit(step)
        step_timeout.arm(limit)
        try:
            return self._converge(number, step)
        except step_timeout.OutOfTime:
            raise Failure(
                f"not done within {limit:.0f} s, and ended",
                "the host is slow or waits for something, or this step needs longer",
                "look at the host, then run again; step_timeout sets how long a step may take",
            ) from None
        finally:
            step_timeout.disarm()

    def _limit(self, step: dict[str, Any]) -> float:
        """Seconds for a step; one that was given a time limit of its own has at least that, and some to spare."""
        own = step["resource"]["fields"].get("timeout", 0)
        return max(self._step_timeout, own + OWN_LIMIT_SLACK if own else 0) if self._step_timeout else 0

    def _converge(self, number: int, step: dict[str, Any]) -> tuple[str, list[Change]]:
        """Bring one resource in order. Returns the step's status and what differed."""
        if self._ahead.in_order(number):
            return "ok", []
        resource: Resource = from_wire(step["resource"])
        try:
            changes = resource.check(self._host)
        except Failure as failure:
            if self._check_only and self.counts["changed"]:
                return "unknown", [Change("unknown until applied", after=failure.reason)]
            raise
        if not changes:
            return "ok", []
        if self._check_only:
            self._would_notify.extend(step.get("notify", ()))
            return ("changed" if resource.changes_host else "unknown"), changes
        self._ahead.stop()
        if resource.changes_host:
            if self._guard:
                self._guard.permit(step["id"], changes, self.counts["changed"] > 0)
            self._announce(step)
        resource.apply(self._host, changes)
        if resource.changes_host:
            self._journal.settle(step.get("notify", ()))
        self._host.forget()
        left = resource.check(self._host)
        if left:
            raise Failure(
                "applied, and still not as declared: " + "; ".join(map(str, left)),
                "something else on this host manages the same thing, or this is a bug of encamp",
            )
        return ("changed" if resource.changes_host else "ok"), changes

    def _announce(self, step: dict[str, Any]) -> None:
        """Before a change: write down what will be due because of it, so that no crash can lose it."""
        self._audit.begin()
        due = {handler_id: self._handlers[handler_id] for handler_id in step.get("notify", ())}
        for later in self._steps:
            if later.get("when_changed") and _concerns(step, later) and later["id"] not in self._journal.ids():
                due[later["id"]] = None
        self._journal.notify(due)

    # -- handlers -----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Run every handler that is due, those of an earlier, interrupted run included."""
        if self._check_only:
            return self._foretell()
        proofs = {step["id"] for step in self._steps if step.get("when_changed")}
        for handler_id in self._journal.ids():
            if handler_id not in proofs:
                self._handle(handler_id)

    def _foretell(self) -> None:
        """In check mode: name the handlers that would run."""
        due = {handler_id: self._journal.handler(handler_id) for handler_id in self._journal.ids()}
        due.update((handler_id, (None, mark_now())) for handler_id in self._would_notify)
        self._would_notify.clear()
        for handler_id, (kept, mark) in due.items():
            wire = self._handlers.get(handler_id, kept)
            if wire is None or handler_id in self._foretold:  # without a wire form it is a proof
                continue
            handler: HandlerResource = from_wire(wire)
            if handler.needed(self._host, mark):
                self._foretold.add(handler_id)
                self._report(handler_id, "changed", [Change("would run", after="notified")], time.monotonic())

    def _handle(self, handler_id: str) -> None:
        started = time.monotonic()
        wire, mark = self._journal.handler(handler_id)
        if wire is None:  # a proof that this run was told to leave out
            return
        with self._told(handler_id, started):
            try:
                handler: HandlerResource = from_wire(self._handlers.get(handler_id, wire))
            except (ImportError, AttributeError, TypeError):  # one that this version has no longer
                return self._give_up(handler_id)
            needed = handler.needed(self._host, mark)
            if needed:
                self._ahead.stop()
                self._audit.begin()
                self._send({"event": "start", "step": handler_id, "number": -1})
                handler.apply(self._host, ())
            self._journal.clear(handler_id)
        if needed:
            self._report(handler_id, "changed", [Change("ran", after="notified")], started)

    def _give_up(self, handler_id: str) -> None:
        """Hand over to the operator what no later run could do either."""
        self._host.note(f"{handler_id} is due since a run of another version of encamp; this one cannot: do it by hand")
        self._journal.clear(handler_id)

    # -- events -------------------------------------------------------------------------------------------------

    def _report(self, step_id: str, status: str, changes: list[Change], started: float) -> None:
        self.counts[status] += 1
        if status == "changed":
            self._audit.changed(step_id)
        event = {
            "event": "step",
            "step": step_id,
            "status": status,
            "changes": [vars(change) for change in changes],
            "seconds": round(time.monotonic() - started, 3),
        }
        if self._guard and self._check_only:
            event["found"] = self._guard.found(step_id, status, changes)
        self._send(event)

    def _failed(self, step_id: str, failure: Failure, started: float) -> None:
        self.counts["failed"] += 1
        self.failed = step_id
        self._send(failure_event(step_id, failure, time.monotonic() - started))


def failure_event(step_id: str, failure: Failure, seconds: float) -> dict[str, Any]:
    """A failure as the controller is told it; a full file system is named whatever else was found."""
    from encamp.agent.disk_space import shortage

    causes = [shortage(f"{failure.reason}\n{failure.detail}"), failure.cause]
    return {
        "event": "step",
        "step": step_id,
        "status": "failed",
        "changes": [],
        "reason": failure.reason,
        "cause": "; ".join(filter(None, causes)),
        "fix": failure.fix,
        "detail": failure.detail,
        "seconds": round(seconds, 3),
    }


def _concerns(changed: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether what one step changes can matter to another: not when they are of different parts of the host."""
    parts = {changed.get("part", ""), later.get("part", "")}
    return len(parts) == 1 or "" in parts


def _bug(error: Exception) -> Failure:
    """A resource that raised what it must not: shown with the place, so that it can be reported."""
    import traceback

    return Failure(
        f"{type(error).__name__}: {error}",
        "a bug of encamp: a resource may only raise Failure",
        "report it with the lines below",
        traceback.format_exc(),
    )
