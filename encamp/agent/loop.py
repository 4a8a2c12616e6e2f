"""The loop: check, apply what differs, check again. Check mode, handlers and reporting live here and nowhere else."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional

from encamp.agent import step_timeout
from encamp.agent.audit import Audit
from encamp.agent.channel import ControllerGone
from encamp.agent.journal import Journal, mark_now
from encamp.agent.prefetch import Prefetcher
from encamp.agent.system import Host
from encamp.resources.base import Change, Failure, HandlerResource, Refused, Resource
from encamp.shared.wire import from_wire

if TYPE_CHECKING:
    from encamp.agent.saved_plan import SavedPlanChecker

FLUSH = "flush"
OWN_LIMIT_SLACK = 120.0


class Loop:
    """Runs a job's steps in order and sends one event for each.

    ``counts`` holds ok, changed (or would change), unknown and failed steps; ``failed`` is the id of the failed step.
    ``checker`` is set when a saved plan is made, compared or applied.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        audit: Audit,
        send: Callable[[dict[str, Any]], None],
        job: dict[str, Any],
        checker: Optional[SavedPlanChecker] = None,
    ) -> None:
        self._host, self._journal, self._audit, self._send = host, journal, audit, send
        self._checker = checker
        self._check_only: bool = job["check"]
        self._steps: list[dict[str, Any]] = job["steps"]
        self._handlers: dict[str, Any] = job["handlers"]
        self._prefetcher = Prefetcher(host, self._steps)
        self._step_timeout: float = job.get("step_timeout", 0)
        self._would_notify: list[str] = []
        self._predicted: set[str] = set()
        self._owners_checked = False
        self.counts = {"ok": 0, "changed": 0, "unknown": 0, "failed": 0}
        self.failed = ""
        #: Whether it ran a handler that another job has left: what that needed belongs to no job of this plan.
        self.ran_others = False

    def run(self) -> None:
        """Run all steps, handlers last. Raises Failure after the event of the failed step."""
        self._prefetcher.start()
        for number, step in enumerate(self._steps):
            if step.get("control") == FLUSH:
                self._flush()
            elif not step.get("when_changed") or self._is_due(step["id"]):
                self._step(number, step)
        self._flush()

    def _is_due(self, step_id: str) -> bool:
        """Whether a ``when_changed`` step must run: something changed, in this run or in an interrupted one."""
        return step_id in self._journal.ids() or (self._check_only and self.counts["changed"] > 0)

    # -- one step -----------------------------------------------------------------------------------------------

    def _step(self, number: int, step: dict[str, Any]) -> None:
        started = time.monotonic()
        self._send({"event": "start", "step": step["id"], "number": number})
        with self._reporting_failures(step["id"], started):
            status, changes = self._within_timeout(number, step)
            if step["id"] in self._journal.ids():
                self._journal.clear(step["id"])
        self._report(step["id"], status, changes, started)

    @contextlib.contextmanager
    def _reporting_failures(self, step_id: str, started: float) -> Iterator[None]:
        """Report an error within as the step's failure. Raises Failure for it."""
        try:
            yield
        except ControllerGone:
            raise
        except Failure as failure:
            if not self.failed:
                self._failed(step_id, failure, started)
            raise
        except Exception as error:
            bug = _bug(error)
            self._failed(step_id, bug, started)
            raise bug from error

    def _within_timeout(self, number: int, step: dict[str, Any]) -> tuple[str, list[Change]]:
        """Converge within the step's timeout. Raises Failure after it; processes that the step started are killed."""
        limit = self._limit(step)
        step_timeout.arm(limit)
        try:
            return self._converge(number, step)
        except step_timeout.StepTimedOut:
            raise Failure(
                f"timed out after {limit:.0f} s",
                "the host is slow or waits for something, or this step needs more time",
                "check the host, then run again; step_timeout sets the seconds that a step may take",
            ) from None
        finally:
            step_timeout.disarm()

    def _limit(self, step: dict[str, Any]) -> float:
        """The step's timeout in seconds; a resource with a ``timeout`` of its own gets at least that, plus slack."""
        own = step["resource"]["fields"].get("timeout", 0)
        return max(self._step_timeout, own + OWN_LIMIT_SLACK if own else 0) if self._step_timeout else 0

    def _converge(self, number: int, step: dict[str, Any]) -> tuple[str, list[Change]]:
        """Check one resource and apply what differs. Returns the step's status and its changes."""
        if self._prefetcher.is_unchanged(number):
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
        if resource.changes_host:
            self._refuse_owners(number, resource)
        if self._check_only:
            self._would_notify.extend(step.get("notify", ()))
            return ("changed" if resource.changes_host else "unknown"), changes
        self._prefetcher.stop()
        if resource.changes_host:
            if self._checker:
                self._checker.permit(step["id"], changes, self.counts["changed"] > 0)
            self._announce(step)
        resource.apply(self._host, changes)
        if resource.changes_host:
            self._journal.confirm(step.get("notify", ()))
        self._host.forget()
        left = resource.check(self._host)
        if left:
            raise Failure(
                "applied, but still not as declared: " + "; ".join(map(str, left)),
                "something else on this host manages the same thing, or this is a bug in encamp",
            )
        return ("changed" if resource.changes_host else "ok"), changes

    def _refuse_owners(self, number: int, resource: Resource) -> None:
        """Before a change: raise Refused if the step would replace something of the owner's.

        Before the first one, later steps are asked as well, so that a run is refused as a whole. A refusal is reported
        as the failure of its step; those of further steps follow in its detail. A step whose turn comes after a change
        is asked again: then may be there what could not be looked at before, such as a database that was down.
        """
        if self._owners_checked:
            if not self._check_only:
                resource.refuse(self._host)
            return
        self._owners_checked = True
        refusals = list(self._refusals(number))
        if refusals:
            step_id, first = refusals[0]
            others = [f"{other.reason}: {other.fix}" for _, other in refusals[1:]]
            first.detail = "\n".join(filter(None, (first.detail, *others)))
            self._failed(step_id, first, time.monotonic())
            raise first

    def _refusals(self, number: int) -> Iterator[tuple[str, Refused]]:
        """The refusals of a step and of those after it. Raises Failure where the step itself cannot tell."""
        for step in self._steps[number:]:
            if "resource" not in step or step.get("when_changed"):
                continue  # a verification replaces nothing, and its kind may not have been sent
            resource: Resource = from_wire(step["resource"])
            try:
                resource.refuse(self._host)
            except Refused as refused:
                yield step["id"], refused
            except Failure:
                if step is self._steps[number]:
                    raise
                # What it looks at does not answer. It is asked again in its turn.

    def _announce(self, step: dict[str, Any]) -> None:
        """Before a change: record the handlers it makes pending, so that no crash can lose them."""
        self._audit.begin()
        due = {handler_id: self._handlers[handler_id] for handler_id in step.get("notify", ())}
        for later in self._steps:
            if later.get("when_changed") and _affects(step, later) and later["id"] not in self._journal.ids():
                due[later["id"]] = None
        self._journal.notify(due)

    # -- handlers -----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Run every pending handler, including those of an earlier, interrupted run."""
        if self._check_only:
            return self._predict_handlers()
        verifications = {step["id"] for step in self._steps if step.get("when_changed")}
        for handler_id in self._journal.ids():
            if handler_id not in verifications:
                self._handle(handler_id)

    def _predict_handlers(self) -> None:
        """In check mode: report the handlers that would run."""
        due = {handler_id: self._journal.handler(handler_id) for handler_id in self._journal.ids()}
        due.update((handler_id, (None, mark_now())) for handler_id in self._would_notify)
        self._would_notify.clear()
        for handler_id, (kept, mark) in due.items():
            wire = self._handlers.get(handler_id, kept)
            if wire is None or handler_id in self._predicted:  # without a wire form it is a verification
                continue
            handler: HandlerResource = from_wire(wire)
            if handler.needed(self._host, mark):
                self._predicted.add(handler_id)
                self._report(handler_id, "changed", [Change("would run", after="notified")], time.monotonic())

    def _handle(self, handler_id: str) -> None:
        started = time.monotonic()
        wire, mark = self._journal.handler(handler_id)
        if wire is None:  # a verification that this run was told to skip
            return
        self.ran_others = self.ran_others or handler_id not in self._handlers
        with self._reporting_failures(handler_id, started):
            try:
                handler: HandlerResource = from_wire(self._handlers.get(handler_id, wire))
            except (ImportError, AttributeError, TypeError):  # a kind that this version no longer has
                return self._give_up(handler_id)
            needed = handler.needed(self._host, mark)
            if needed:
                self._prefetcher.stop()
                self._audit.begin()
                self._send({"event": "start", "step": handler_id, "number": -1})
                handler.apply(self._host, ())
            self._journal.clear(handler_id)
        if needed:
            self._report(handler_id, "changed", [Change("ran", after="notified")], started)

    def _give_up(self, handler_id: str) -> None:
        """Report a handler that no later run could run either."""
        self._host.note(
            f"{handler_id} is pending from another version of encamp, and this version cannot run it: do it by hand"
        )
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
        if self._checker and self._check_only:
            event["found"] = self._checker.observe(step_id, status, changes)
        self._send(event)

    def _failed(self, step_id: str, failure: Failure, started: float) -> None:
        self.counts["failed"] += 1
        self.failed = step_id
        self._send(failure_event(step_id, failure, time.monotonic() - started))


def failure_event(step_id: str, failure: Failure, seconds: float) -> dict[str, Any]:
    """A failure as an event; a full file system is always named among its causes."""
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


def _affects(changed: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether a changed step can affect a later one: not when they belong to different parts of the host."""
    parts = {changed.get("part", ""), later.get("part", "")}
    return len(parts) == 1 or "" in parts


def _bug(error: Exception) -> Failure:
    """The failure for a resource that raised something else: with the traceback, so that it can be reported."""
    import traceback

    return Failure(
        f"{type(error).__name__}: {error}",
        "a bug in encamp: a resource may only raise Failure",
        "report it with the traceback below",
        traceback.format_exc(),
    )
