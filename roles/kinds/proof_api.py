"""A proof's traces on the hosted server: read back, and removed."""

from __future__ import annotations

import dataclasses
import datetime
import re
import time
from typing import Any, Optional

from encamp.resources.base import Failure, Reader, System
from roles.kinds.prefect_api import Api, Problem
from roles.kinds.proof_flow import ENTRYPOINT

PREFIX = "encamp-proof-"
OWN_NAME = re.compile(rf"^{PREFIX}[0-9a-f]{{32}}$")
#: Seconds that logs and task runs may take to arrive after a run has ended (clients send them in batches).
ARRIVAL = 30.0
#: A proof's traces older than this belong to one that was cut off.
STALE_HOURS = 2
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: Seconds without a new line after which a run's log counts as complete.
QUIET = 2.0


@dataclasses.dataclass
class Traces:
    """What the server holds of one proof. ``state`` is the flow run's state, with its message."""

    flow_run: str = ""
    state: str = ""
    message: str = ""
    task_run: str = ""
    log: str = ""

    def missing(self) -> Optional[Problem]:
        """The first thing that did not arrive; None for a whole proof."""
        if not self.flow_run:
            return Problem(
                "the flow ran, but its flow run is not on the server",
                "it was recorded elsewhere: another API URL wins over the settings",
                "run `fab configure-client` and read its notes",
            )
        if self.state != "COMPLETED":
            return Problem(f"flow run {self.flow_run} ended as {self.state or 'unknown'}: {self.message}")
        if not self.task_run:
            return Problem(
                f"flow run {self.flow_run} arrived, its task run did not",
                "task runs travel as events over a WebSocket (/api/events/in); a proxy that does not pass WebSockets "
                "on, or drops their authorization, loses them in silence",
                "let the proxy upgrade connections on /api, or try the server's port directly",
            )
        if not self.log:
            return Problem(
                f"flow run {self.flow_run} and task run {self.task_run} arrived, the log line did not",
                "logs to the API are off (PREFECT_LOGGING_TO_API_ENABLED), or a proxy refuses POST /api/logs/",
                "turn them on for this user, or see the proxy's log",
            )
        return None


def find(host: Reader, api: Api, flow: str, token: str) -> Traces:
    """Look once for what a flow named ``flow`` left. Of several runs, the newest counts."""
    query = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
    runs = api.must(host, "POST", "flow_runs/filter", query)
    if not runs:
        return Traces()
    state = runs[0].get("state") or {}
    traces = Traces(runs[0]["id"], state.get("type", ""), state.get("message") or "")
    of_run = {"flow_runs": {"id": {"any_": [traces.flow_run]}}}
    for task_run in api.must(host, "POST", "task_runs/filter", of_run):
        if task_run.get("state_type") == "COMPLETED":
            traces.task_run = task_run["id"]
    traces.log = next((line for line in log_lines(host, api, traces.flow_run) if token in line), "")
    return traces


def read_back(host: System, api: Api, flow: str, token: str) -> Traces:
    """Look until everything is there, or it can be expected no more. What is missing then, is missing."""
    last = [Traces()]

    def whole() -> bool:
        last[0] = find(host, api, flow, token)
        return last[0].missing() is None or last[0].state in ENDED[1:]

    host.wait(whole, ARRIVAL, every=0.25)
    return last[0]


def log_lines(host: Reader, api: Api, flow_run: str) -> list[str]:
    """Messages that a flow run logged, oldest first."""
    query = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    return [str(entry["message"]) for entry in api.must(host, "POST", "logs/filter", query)]


# -- through a worker ------------------------------------------------------------------------------------------------


def deploy(host: Reader, api: Api, flow: str, pool: str, directory: str) -> str:
    """Create the flow and a deployment of it whose code lies in ``directory`` on this host. Returns its id."""
    flow_id = api.must(host, "POST", "flows/", {"name": flow})["id"]
    body = {
        "name": flow,
        "flow_id": flow_id,
        "work_pool_name": pool,
        "entrypoint": ENTRYPOINT,
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": directory}}],
    }
    return str(api.must(host, "POST", "deployments/", body)["id"])


def start(host: Reader, api: Api, deployment: str) -> str:
    """Ask for a run now. Returns its id."""
    body = {"state": {"type": "SCHEDULED", "name": "Scheduled"}}
    return str(api.must(host, "POST", f"deployments/{deployment}/create_flow_run", body)["id"])


def wait_for_end(host: System, api: Api, flow_run: str, seconds: float) -> str:
    """Wait until a run has ended and its worker has said its last word on it. Returns the state it is in."""
    state = [""]

    def ended() -> bool:
        state[0] = str(api.must(host, "GET", f"flow_runs/{flow_run}").get("state_type") or "")
        return state[0] in ENDED

    if host.wait(ended, seconds):
        _wait_for_quiet(host, api, flow_run)
    return state[0]


def _wait_for_quiet(host: System, api: Api, flow_run: str) -> None:
    """Wait until a run's log grows no more: some releases' workers log the end of the process after that of the run,
    and a line that came after the deletion would stay for ever."""
    lines, since = [-1], [time.monotonic()]

    def quiet() -> bool:
        count = len(log_lines(host, api, flow_run))
        if count != lines[0]:
            lines[0], since[0] = count, time.monotonic()
        return time.monotonic() - since[0] >= QUIET

    host.wait(quiet, 4 * QUIET, every=0.5)


def unseen(lines: list[str], flow: str) -> bool:
    """Whether a run's log says that its worker did not find the proof's directory.

    Prefect 3.8 logs only that the step began, earlier releases also the error.
    """
    began = any("Executing deployment step: set_working_directory" in line for line in lines)
    done = any("set_working_directory' completed" in line or "All deployment steps" in line for line in lines)
    missing = any("No such file or directory" in line and flow in line for line in lines)
    return missing or (began and not done)


def online_workers(host: Reader, api: Api, pool: str) -> list[str]:
    """Names of the pool's workers that the server has heard from lately."""
    workers = api.must(host, "POST", f"work_pools/{pool}/workers/filter", {})
    return [str(worker["name"]) for worker in workers if worker.get("status") == "ONLINE"]


def why_not_taken(host: Reader, api: Api, pool: str, state: str, seconds: float) -> Problem:
    """Why no worker finished a run in time."""
    found = api.must(host, "GET", f"work_pools/{pool}")
    online = online_workers(host, api, pool)
    reason = f"no worker of pool {pool} finished the proof within {seconds:.0f} s; it is {state or 'unknown'}"
    if found.get("is_paused"):
        return Problem(reason, "the pool is paused", f"prefect work-pool resume {pool}")
    if not online:
        return Problem(reason, "no worker of that pool is online", "see the worker's unit and its journal")
    return Problem(
        reason,
        f"online: {', '.join(online)}; the pool's concurrency limit is {found.get('concurrency_limit')}, so it may be "
        "full, or the worker is too busy",
        "look at the pool in the UI, or wait and run `fab verify` again",
    )


# -- removal ---------------------------------------------------------------------------------------------------------


def remove(host: Reader, api: Api, flow: str) -> None:
    """Delete a proof's runs (task runs and logs go with them), deployments and flow. Raises Failure."""
    of_flow = {"flows": {"name": {"any_": [flow]}}}
    for run in api.must(host, "POST", "flow_runs/filter", of_flow):
        _delete(host, api, f"flow_runs/{run['id']}")
    for deployment in api.must(host, "POST", "deployments/filter", of_flow):
        _delete(host, api, f"deployments/{deployment['id']}")
    for found in api.must(host, "POST", "flows/filter", of_flow):
        _delete(host, api, f"flows/{found['id']}")


def remove_stale(host: Reader, api: Api) -> None:
    """Remove what proofs left that were cut off hours ago. Names of any other form are never touched."""
    query = {"flows": {"name": {"like_": PREFIX}}, "limit": 50}
    for flow in api.must(host, "POST", "flows/filter", query):
        if OWN_NAME.match(flow["name"]) and _age_hours(flow) > STALE_HOURS:
            remove(host, api, flow["name"])


def _delete(host: Reader, api: Api, path: str) -> None:
    answer = api.patient(host, "DELETE", path)
    if answer.status not in (200, 204, 404):
        raise Failure(f"DELETE {path}: HTTP {answer.status} {answer.error}".rstrip())


def _age_hours(flow: dict[str, Any]) -> float:
    """Age by the server's own clock is not to be had; two hours forgive a clock that is off."""
    created = str(flow.get("created", ""))[:19]
    try:
        then = datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return 0.0
    return (time.time() - then.timestamp()) / 3600
