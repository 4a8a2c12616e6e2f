"""Active schedules whose flow runs do not come, by their effect: runs ahead that are missing, or are not continued.

The scheduler makes runs in two loops: a quick one for deployments that were written a few seconds ago, and a round over
all deployments each minute. Where only the second fails, first runs are there, and no further ones follow.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Iterator, Optional, Sequence

from encamp.shared.record import record
from roles.doctor.kinds.api_target import ApiTarget, clock_ahead
from roles.doctor.kinds.findings import Finding, fail, warn
from roles.prefect.kinds.api import seconds_of

#: Deployments that are asked for, and that are named.
ASKED, SHOWN = 50, 5
#: Seconds after which the scheduler, which looks at all deployments each minute, has had its rounds.
ROUNDS = 150.0
HOUR, DAY = 3600.0, 86400.0
#: By default the scheduler keeps runs an hour ahead, at least three and at most so many of them, within so many days.
MOST, FARTHEST = 100, 100 * DAY
READ_LOG = "`fab -H SERVER doctor` shows errors that repeat (check `errors`)"


@record
class Ahead:
    """A deployment by ``name``, and its scheduled runs that are ahead.

    ``lasts``: seconds to the last of them; ``wanted``: how far they reach at least where the scheduler does its rounds.
    """

    name: str
    lasts: float
    wanted: float

    @property
    def is_barren(self) -> bool:
        """Whether no run is ahead at all."""
        return self.lasts <= 0

    @property
    def ends(self) -> bool:
        """Whether runs are ahead, but the scheduler has not continued them."""
        return 0 < self.lasts < self.wanted - ROUNDS


def check_active_schedules(target: ApiTarget) -> Optional[Finding]:
    """A finding where deployments with an active schedule have no flow run ahead, or too few; None where all have."""
    scheduled = list(_scheduled(target))
    barren = [deployment for deployment in scheduled if deployment.is_barren]
    if barren:
        return _barren(barren, scheduled)
    ending = [deployment for deployment in scheduled if deployment.ends]
    if not ending:
        return None
    return fail(
        f"the scheduled flow runs of {len(ending)} of {len(scheduled)} deployments end and are not continued: "
        + _named(ending, lambda deployment: f"{deployment.name} (in {deployment.lasts / 60:.0f} min)"),
        "most likely the server's scheduler looks at new deployments only: its round over all of them fails or hangs",
        READ_LOG,
    )


def _barren(barren: Sequence[Ahead], scheduled: Sequence[Ahead]) -> Finding:
    named = _named(barren, lambda deployment: deployment.name)
    text = f"{len(barren)} of {len(scheduled)} deployments with an active schedule have no scheduled flow run: {named}"
    if len(barren) == len(scheduled):
        return fail(text, "the server's scheduler fails or is disabled", READ_LOG)
    return warn(
        text, "their schedules are over, or the scheduler fails on them", "correct those schedules, or pause them"
    )


def _named(deployments: Sequence[Ahead], name: Callable[[Ahead], str]) -> str:
    return ", ".join(map(name, deployments[:SHOWN])) + (" ..." if len(deployments) > SHOWN else "")


def _scheduled(target: ApiTarget) -> Iterator[Ahead]:
    """The deployments whose schedules must have runs ahead by now."""
    found = target.ask("POST", "deployments/filter", {"limit": ASKED})
    for deployment in found if isinstance(found, list) else []:
        schedules = [schedule for schedule in active_schedules(deployment) if recurs(schedule)]
        last = _last_run(target, deployment) if schedules and _is_settled(target, deployment) else None
        if last is not None:
            yield Ahead(str(deployment.get("name")), last, max(map(reach, schedules)))


def active_schedules(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """The active schedules of a deployment. Before 2.16 it has one at most."""
    if deployment.get("paused") or deployment.get("is_schedule_active") is False:
        return []
    schedules = deployment.get("schedules")
    if schedules is None:
        return [deployment["schedule"]] if deployment.get("schedule") else []
    return [{**schedule, **(schedule.get("schedule") or {})} for schedule in schedules if schedule.get("active")]


def recurs(schedule: dict[str, Any]) -> bool:
    """Whether a schedule is to have runs within the time that the scheduler looks ahead: not so one of a year."""
    interval, cron = schedule.get("interval"), str(schedule.get("cron") or "").split()
    return interval <= FARTHEST if interval else cron[3:4] in ([], ["*"])


def reach(schedule: dict[str, Any]) -> float:
    """Seconds ahead to which the scheduler keeps runs of a schedule at least; 0 where that cannot be said."""
    interval, cron = schedule.get("interval"), str(schedule.get("cron") or "").split()
    if schedule.get("max_scheduled_runs"):
        return 0.0
    if interval:
        # Three runs are ahead, and for a moment two: after the first has begun, before the next round.
        return float(min(MOST * interval, max(HOUR, interval))) if interval < FARTHEST / 3 else 0.0
    return HOUR if cron[1:5] == ["*"] * 4 else 0.0


def _is_settled(target: ApiTarget, deployment: dict[str, Any]) -> bool:
    """Whether the scheduler has had its time since the deployment and its schedules were last written."""
    written = [seconds_of(each.get("updated")) for each in (deployment, *(deployment.get("schedules") or ()))]
    return all(time.time() - clock_ahead(target) - then > ROUNDS for then in written if then is not None)


def _last_run(target: ApiTarget, deployment: dict[str, Any]) -> Optional[float]:
    """Seconds until the last scheduled run of a deployment, 0 where none is ahead; None where it cannot be asked."""
    query = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": 1,
    }
    found = target.ask("POST", "flow_runs/filter", query)
    if not isinstance(found, list):
        return None
    last = seconds_of(found[0].get("expected_start_time")) if found else None
    return max(0.0, last - time.time() + clock_ahead(target)) if last else 0.0
