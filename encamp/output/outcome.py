"""How a run ended on each host, and what that means for its exit code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from encamp.shared.record import record
from encamp.shared.wire import DRIFTED
from encamp.transport.events import FailureData, HostResult, SlowStep, Status, StepEvent
from encamp.transport.traffic import Traffic

#: Seconds from which a step counts as slow, and how many of those the recap names.
SLOW_SECONDS, SLOW_STEPS = 1.0, 5
STEP_STATUSES = ("ok", "changed", "unknown", "failed")
NOT_REACHED: Final = "not reached"


@record
class Failure:
    """Why a host's part in a run failed; ``detail`` is the last output of what failed."""

    step: str
    reason: str
    cause: str = ""
    fix: str = ""
    detail: str = ""

    @classmethod
    def of_step(cls, event: StepEvent) -> Failure:
        """That of a step that failed."""
        more = (event.get("cause", ""), event.get("fix", ""), event.get("detail", ""))
        return cls(event["step"], event.get("reason", ""), *more)

    def data(self) -> FailureData:
        """As JSON data."""
        return {
            "step": self.step,
            "reason": self.reason,
            "cause": self.cause,
            "fix": self.fix,
            "detail": self.detail,
        }


@dataclasses.dataclass(eq=False)
class Outcome:
    """How a run ended on one host. Times in seconds.

    ``step`` is the last one that started, ``times`` the steps that took a second or more, ``left`` the stages that
    are still to do.
    """

    host: str
    status: Status = NOT_REACHED
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(STEP_STATUSES, 0))
    seconds: float = 0.0
    traffic: Traffic = dataclasses.field(default_factory=Traffic)
    failure: Failure | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    step: str = ""
    times: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    left: tuple[str, ...] = ()

    @property
    def may_go_on(self) -> bool:
        """Whether the host may take part in what comes next."""
        return self.status in ("ok", NOT_REACHED)

    @property
    def label(self) -> str:
        """The status for people."""
        return "drifted" if self.status == DRIFTED else self.status


def host_result(outcome: Outcome) -> HostResult:
    """How a host ended, as JSON data."""
    return {
        "status": outcome.status,
        "counts": outcome.counts,
        "seconds": round(outcome.seconds, 3),
        "execs": outcome.traffic.execs,
        "bytes_sent": outcome.traffic.sent,
        "bytes_received": outcome.traffic.received,
        "left": list(outcome.left),
        "failure": outcome.failure.data() if outcome.failure else {},
        "notes": outcome.notes,
    }


def slowest(outcomes: Sequence[Outcome]) -> list[SlowStep]:
    """The slow steps of all hosts, the slowest first, not more than a few."""
    slow = sorted(
        ((seconds, outcome.host, step) for outcome in outcomes for seconds, step in outcome.times), reverse=True
    )
    return [{"host": host, "step": step, "seconds": seconds} for seconds, host, step in slow[:SLOW_STEPS]]


def exit_code(outcomes: Sequence[Outcome], check: bool, want_exit_code: bool) -> int:
    """0 fine, 2 a host failed, 3 unreachable, 5 locked, 6 drifted, 10 with ``--check --exit-code`` when something
    would change, 130 interrupted."""
    statuses = {outcome.status for outcome in outcomes}
    for status, code in (("interrupted", 130), ("failed", 2), ("unreachable", 3), ("locked", 5), (DRIFTED, 6)):
        if status in statuses:
            return code
    if check and want_exit_code and any(outcome.counts["changed"] for outcome in outcomes):
        return 10
    return 0
