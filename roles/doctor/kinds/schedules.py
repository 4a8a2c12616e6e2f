"""Whether the server makes flow runs of active schedules, which a scheduler that fails leaves without any ahead."""

from __future__ import annotations

import time
from typing import Any, Optional

from roles.doctor.kinds.api_target import ApiTarget, clock_ahead
from roles.doctor.kinds.findings import Finding, fail, warn
from roles.prefect.kinds.api import seconds_of

#: Deployments that are asked for, and that are named.
ASKED, SHOWN = 50, 5
#: Seconds after which the scheduler, which looks at all deployments each minute, has had its rounds.
ROUNDS = 150.0


def check_active_schedules(target: ApiTarget) -> Optional[Finding]:
    """A finding where deployments with an active schedule have no flow run ahead; None where all have."""
    found = target.ask("POST", "deployments/filter", {"limit": ASKED})
    active = [
        deployment
        for deployment in (found if isinstance(found, list) else [])
        if _is_scheduled(deployment) and _is_settled(target, deployment)
    ]
    barren = [str(deployment.get("name")) for deployment in active if not _has_runs(target, deployment)]
    if not barren:
        return None
    named = ", ".join(barren[:SHOWN]) + (" ..." if len(barren) > SHOWN else "")
    text = f"{len(barren)} of {len(active)} deployments with an active schedule have no scheduled flow run: {named}"
    if len(barren) == len(active):
        return fail(text, "the server's scheduler fails or is disabled", "read the server's log")
    return warn(
        text, "their schedules are over, or the scheduler fails on them", "correct those schedules, or pause them"
    )


def _is_scheduled(deployment: dict[str, Any]) -> bool:
    """Whether a deployment has an active schedule. Before 2.16 it has one at most."""
    if deployment.get("paused") or deployment.get("is_schedule_active") is False:
        return False
    schedules = deployment.get("schedules")
    if schedules is None:
        return bool(deployment.get("schedule"))
    return any(schedule.get("active") for schedule in schedules)


def _is_settled(target: ApiTarget, deployment: dict[str, Any]) -> bool:
    """Whether the scheduler has had its time since the deployment was last written."""
    written = seconds_of(deployment.get("updated"))
    return written is None or time.time() - clock_ahead(target) - written > ROUNDS


def _has_runs(target: ApiTarget, deployment: dict[str, Any]) -> bool:
    """Whether a run of a deployment is scheduled, or it cannot be asked."""
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    query = {"deployments": {"id": {"any_": [deployment["id"]]}}, "flow_runs": waiting}
    return bool(target.ask("POST", "flow_runs/count", query) != 0)
