"""The scheduler's round over all deployments, proven where rounds are short: in the trial of a lock.

A deploy proves the scheduler's quick loop, which looks at what was written a few seconds ago. Runs of a deployment that
stays as it is come from the round over all of them, which a server makes once a minute.
"""

from __future__ import annotations

import uuid

from encamp.resources.base import Failure
from encamp.resources.system import System
from roles.prefect.kinds.api import Api
from roles.proof.kinds import api as proof_api
from roles.proof.kinds import schedule
from roles.proof.kinds.api import PREFIX, delete, runs_of


def prove(host: System, api: Api, patience: float) -> None:
    """Runs of an old deployment that are deleted are made again within ``patience`` seconds. Raises Failure."""
    flow = PREFIX + uuid.uuid4().hex
    try:
        written = schedule.begin(host, api, flow)
        schedule.prove(host, api, flow, written)
        host.wait_for(lambda: written.left_alone, 2 * schedule.AGAIN)
        for run in runs_of(host, api, flow):
            delete(host, api, f"flow_runs/{run['id']}")
        if not host.wait_for(lambda: bool(runs_of(host, api, flow)), patience):
            raise Failure(
                f"the server's scheduler did not look at all deployments within {patience:.0f} s",
                "its round over all deployments fails: schedules create no flow runs after the first ones",
                "read the server's log",
            )
    finally:
        proof_api.remove(host, api, flow)
