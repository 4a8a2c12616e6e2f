"""A verification's traces on the hosted server: read back, and removed."""

from __future__ import annotations

import dataclasses
import re
import time
from typing import Any, Optional

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System
from roles.prefect.kinds.api import Api, Problem, seconds_of

PREFIX = "encamp-proof-"
OWN_NAME = re.compile(rf"^{PREFIX}[0-9a-f]{{32}}$")
#: Seconds that logs and task runs may take to arrive after a run has ended (clients send them in batches).
ARRIVAL = 30.0
#: Traces older than this belong to a verification that was interrupted.
STALE_HOURS = 2
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclasses.dataclass
class Traces:
    """What the server recorded of one verification. ``state`` is the flow run's state, with its message."""

    flow_run: str = ""
    state: str = ""
    message: str = ""
    task_run: str = ""
    log: str = ""

    def missing(self) -> Optional[Problem]:
        """The first thing that did not arrive; None where all of it did."""
        if not self.flow_run:
            return Problem(
                "the flow ran, but the server has no record of it",
                "it was recorded elsewhere: another API URL overrides the settings",
                "run `fab configure-client` and read its warnings",
            )
        if self.state != "COMPLETED":
            return Problem(f"flow run {self.flow_run} ended as {self.state or 'unknown'}: {self.message}")
        if not self.task_run:
            return Problem(
                f"flow run {self.flow_run} arrived, but its task run did not",
                "task runs are sent as events over a WebSocket (/api/events/in), which a proxy may not forward, or "
                "forward without the password; or (with auth) the client is older than 3.6.14 and the server is not",
                "run `fab doctor` for this client: it opens the WebSocket as the client does, and says which",
            )
        if not self.log:
            return Problem(
                f"flow run {self.flow_run} and task run {self.task_run} arrived, but the log line did not",
                "logs to the API are off (PREFECT_LOGGING_TO_API_ENABLED), or a proxy refuses POST /api/logs/",
                "enable them for this user, or check the proxy's log",
            )
        return None


def find(host: Reader, api: Api, flow: str, token: str) -> Traces:
    """Look once for what a flow named ``flow`` left. Of several runs, the one that was completed counts."""
    # Prefect 2.0 does not know START_TIME_DESC.
    query = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC"}
    runs = api.must(host, "POST", "flow_runs/filter", query)
    begun = [run for run in runs if run.get("state_type") != "SCHEDULED"]
    if not begun:
        return Traces()
    run = next((run for run in begun if run.get("state_type") == "COMPLETED"), begun[0])
    state = run.get("state") or {}
    traces = Traces(run["id"], state.get("type", ""), state.get("message") or "")
    of_run = {"flow_runs": {"id": {"any_": [traces.flow_run]}}}
    for task_run in api.must(host, "POST", "task_runs/filter", of_run):
        if task_run.get("state_type") == "COMPLETED":
            traces.task_run = task_run["id"]
    traces.log = next((line for line in log_lines(host, api, traces.flow_run) if token in line), "")
    return traces


def read_back(host: System, api: Api, flow: str, token: str) -> Traces:
    """Look until everything is there, or it can be expected no more. What is missing then, is missing."""

    def complete(traces: Traces) -> bool:
        return traces.missing() is None or traces.state in ENDED[1:]

    return host.wait_for(lambda: find(host, api, flow, token), ARRIVAL, complete, every=0.25)


def runs_of(host: Reader, api: Api, flow: str) -> list[dict[str, Any]]:
    """All runs of a flow, oldest first."""
    query = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
    found: list[dict[str, Any]] = api.must(host, "POST", "flow_runs/filter", query)
    return found


def log_lines(host: Reader, api: Api, *flow_runs: str) -> list[str]:
    """Messages that flow runs logged, oldest first; 200 at most."""
    query = {"logs": {"flow_run_id": {"any_": list(flow_runs)}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    return [str(entry["message"]) for entry in api.must(host, "POST", "logs/filter", query)]


def server_ahead(made: dict[str, Any]) -> float:
    """Seconds that the server's clock is ahead of this host's, by what it has just made."""
    created = seconds_of(made.get("created"))
    return created - time.time() if created else 0.0


# -- removal ---------------------------------------------------------------------------------------------------------


def remove(host: Reader, api: Api, flow: str) -> None:
    """Delete a verification's automation, deployments, runs (task runs and logs go with them) and flow. Raises Failure.

    Deployments go first, and take with them what their schedules made: else the scheduler would make new runs.
    """
    for automation in _automations(host, api, flow):
        delete(host, api, f"automations/{automation}")
    of_flow = {"flows": {"name": {"any_": [flow]}}}
    for deployment in api.must(host, "POST", "deployments/filter", of_flow):
        delete(host, api, f"deployments/{deployment['id']}")
        if deployment.get("infrastructure_document_id"):
            delete(host, api, f"block_documents/{deployment['infrastructure_document_id']}")
    for run in api.must(host, "POST", "flow_runs/filter", of_flow):
        delete(host, api, f"flow_runs/{run['id']}")
    for found in api.must(host, "POST", "flows/filter", of_flow):
        delete(host, api, f"flows/{found['id']}")


def remove_stale(host: Reader, api: Api) -> None:
    """Remove what verifications left that were interrupted hours ago. Names of any other form are never touched."""
    query = {"flows": {"name": {"like_": PREFIX}}, "limit": 50}
    for flow in api.must(host, "POST", "flows/filter", query):
        if OWN_NAME.match(flow["name"]) and _age_hours(flow) > STALE_HOURS:
            remove(host, api, flow["name"])


def delete(host: Reader, api: Api, path: str) -> None:
    """Delete something of the API that may be gone already. Raises Failure."""
    answer = api.persistent(host, "DELETE", path)
    if answer.status not in (200, 204, 404):
        raise Failure(f"DELETE {path}: HTTP {answer.status} {answer.error}".rstrip())


def _automations(host: Reader, api: Api, name: str) -> list[str]:
    """The ids of automations with a name; empty where the release has none."""
    answer = api.persistent(host, "POST", "automations/filter", {"automations": {"name": {"any_": [name]}}})
    return [str(automation["id"]) for automation in answer.json()] if answer.status == 200 else []


def _age_hours(flow: dict[str, Any]) -> float:
    """Age by the server's own clock is not to be had; two hours forgive a clock that is off."""
    created = seconds_of(flow.get("created"))
    return (time.time() - created) / 3600 if created else 0.0
