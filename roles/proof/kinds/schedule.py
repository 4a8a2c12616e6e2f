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
from roles.proof.kinds.api import runs_of, server_ahead

#: Seconds that the scheduler gets, and after which it is helped by writing the deployment again.
PATIENCE = 30.0
AGAIN = 8.0
#: Seconds from now to the first run that is to be carried out, and between runs: more than one is not wanted.
SOON, INTERVAL = 7.0, 86400.0
#: Seconds ahead within which a run counts as one to carry out, not as the next day's.
DUE = 3600.0


class Schedule:
    """The schedule of one deployment.

    ``body`` creates it. ``soon``: its first run is due in a few seconds, for a worker; else in a day, so that nothing
    runs it. ``ahead``: seconds that the server's clock is ahead of this host's. ``deployment``: its id once written.
    ``patience``: seconds that the scheduler gets.
    """

    def __init__(self, api: Api, body: dict[str, Any], ahead: float, soon: bool = False) -> None:
        self._api, self._body, self._ahead, self._soon = api, body, ahead, soon
        self._begun = self._written = 0.0
        self.deployment = ""
        self.patience = PATIENCE

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
        if self.left_alone and not self.given_up:
            self.write(host)
        return False

    @property
    def left_alone(self) -> bool:
        """Whether it was written so long ago that only the round over all deployments looks at it."""
        return time.monotonic() - self._written > AGAIN

    @property
    def given_up(self) -> bool:
        """Whether the scheduler has had its time."""
        return time.monotonic() - self._begun > self.patience

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

    def verdict() -> str:
        if schedule.made(host, runs_of(host, api, flow)):
            return "made"
        return "given up" if schedule.given_up else ""

    if host.wait_for(verdict, 2 * schedule.patience) != "made":
        raise not_made(schedule).failure()


def not_made(schedule: Schedule) -> Problem:
    """The scheduler made no run in its time."""
    return Problem(
        f"the server created no flow run from a schedule within {schedule.patience:.0f} s",
        "its scheduler fails or does not run: schedules create no flow runs",
        "`fab -H SERVER doctor` shows errors that repeat (check `errors`)",
    )
