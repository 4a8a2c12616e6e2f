"""A schedule of a verification: the server's own scheduler must make flow runs of it.

A run that is asked for shows nothing of the scheduler, which is a loop of its own. It looks every five seconds at
deployments that were written within the last six, and once a minute at all others (with 2.0.4, 2.7.12, 2.20.26 and
3.9.1 runs were there after 4.9 to 5.4 s). So a deployment that it missed is written again.
"""

from __future__ import annotations

import time
from typing import Any

from encamp.resources.system import Reader, System
from roles.prefect.kinds.api import Api, Problem, problem_of, seconds_of
from roles.proof.kinds.api import runs_of

#: Seconds that the scheduler gets, and after which it is helped by writing the deployment again.
PATIENCE = 30.0
AGAIN = 8.0
#: Seconds from now to the first run that is to be carried out, and between runs: more than one is not wanted.
SOON, INTERVAL = 7.0, 86400.0
#: Seconds ahead within which a run counts as one to carry out, not as the next day's.
DUE = 3600.0
#: What switches the scheduler off: in Orion, then up to 3.0.
SWITCHES = ("PREFECT_ORION_SERVICES_SCHEDULER_ENABLED", "PREFECT_API_SERVICES_SCHEDULER_ENABLED")


class Schedule:
    """The schedule of one deployment. ``body`` is what creates it; ``soon``: a first run is due in a few seconds, for a
    worker; else in a day, so that nothing runs it. ``deployment`` is its id once it was written."""

    def __init__(self, api: Api, body: dict[str, Any], server_ahead: float, soon: bool = False) -> None:
        self._api, self._body, self._ahead, self._soon = api, body, server_ahead, soon
        self._begun = self._written = 0.0
        self.deployment = ""

    def write(self, host: Reader) -> None:
        """Create the deployment, or write it again with a first run that is still ahead."""
        self._written = time.monotonic()
        self._begun = self._begun or self._written
        first = time.time() + self._ahead + (SOON if self._soon else INTERVAL)
        anchor = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(first))
        dates = {"interval": INTERVAL, "anchor_date": anchor}
        active = {"schedule": dates, "is_schedule_active": True}
        queueless = {key: value for key, value in self._body.items() if key != "work_queue_name"}
        # Before 2.16 a deployment has one schedule. In 2.0 it has no queue: a queue without a filter takes all.
        for body in (
            {**self._body, "schedules": [{"schedule": dates, "active": True}]},
            {**self._body, **active},
            {**queueless, **active},
        ):
            answer = self._api.persistent(host, "POST", "deployments/", body)
            if answer.status != 422:
                break
        problem = problem_of(answer, "POST", self._api.address("deployments/"))
        if problem:
            raise problem.failure()
        self.deployment = str(answer.json()["id"])

    def made(self, host: Reader, runs: list[dict[str, Any]]) -> bool:
        """Whether ``runs``, those of its flow, hold one that the scheduler made; helps it where it takes long."""
        if any(run.get("auto_scheduled") and (not self._soon or self.due(run)) for run in runs):
            return True
        if time.monotonic() - self._written > AGAIN and not self.given_up:
            self.write(host)
        return False

    @property
    def given_up(self) -> bool:
        """Whether the scheduler has had its time."""
        return time.monotonic() - self._begun > PATIENCE

    def due(self, run: dict[str, Any]) -> bool:
        """Whether a run is to be carried out now, and is not one of the next days."""
        start = seconds_of(run.get("expected_start_time"))
        return start is None or start - time.time() - self._ahead < DUE


def begin(host: Reader, api: Api, flow: str) -> Schedule:
    """Write a deployment whose first run is due in a day."""
    made = api.must(host, "POST", "flows/", {"name": flow})
    schedule = Schedule(api, {"name": flow, "flow_id": made["id"]}, server_ahead(made))
    schedule.write(host)
    return schedule


def prove(host: System, api: Api, flow: str, schedule: Schedule) -> None:
    """Wait until the server has made a run of the schedule. Raises Failure."""
    made = host.wait_for(
        lambda: True if schedule.made(host, runs_of(host, api, flow)) else False if schedule.given_up else None,
        2 * PATIENCE,
        done=lambda verdict: verdict is not None,
    )
    if not made:
        raise not_made().failure()


def switched_on(host: Reader, api: Api) -> bool:
    """Whether the server has its scheduler on, by the settings that it resolved (up to 2.20 by name, then nested)."""
    answer = api.persistent(host, "GET", "admin/settings")
    found: dict[str, Any] = answer.json() if answer.status == 200 else {}
    value: Any = found
    for key in ("server", "services", "scheduler", "enabled"):
        value = value.get(key) if isinstance(value, dict) else None
    given = [value, *(found.get(name) for name in SWITCHES)]
    return not any(str(one).lower() == "false" for one in given)


def server_ahead(flow: dict[str, Any]) -> float:
    """Seconds that the server's clock is ahead of this host's, by the flow that it has just made."""
    created = seconds_of(flow.get("created"))
    return created - time.time() if created else 0.0


def not_made() -> Problem:
    """The scheduler made no run in its time."""
    return Problem(
        f"the server created no flow run from a schedule within {PATIENCE:.0f} s",
        "its scheduler fails or does not run: schedules create no flow runs",
        "read the server's log",
    )
