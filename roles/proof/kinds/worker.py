"""A verification's runs through the workers of a pool: any may take a run, and only one can carry it out."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from encamp.resources.system import Reader, System
from roles.prefect.kinds.api import Api, Problem
from roles.proof.kinds.api import ENDED, delete, log_lines, runs_of, server_ahead
from roles.proof.kinds.flow import ENTRYPOINT
from roles.proof.kinds.schedule import Schedule, not_made

#: Label of a flow run that names the worker which took it.
TAKER = "prefect.worker.name"
#: Seconds without a new line after which a log counts as complete.
QUIET = 2.0
#: Seconds that runs which another worker took get to end.
SETTLE = 30.0


def deploy(
    host: Reader,
    api: Api,
    flow: str,
    pool: str,
    directory: str,
    queue: str = "",
    steps: Sequence[Mapping[str, Any]] = (),
) -> Schedule:
    """Create the flow and a deployment of it whose code lies in ``directory`` on this host, scheduled in some seconds.

    ``steps``: further pull steps, once the working directory is that one.
    Without a ``pool`` it is one for agents: those know no steps, but a path, and a block that says how to run it.
    """
    made = api.must(host, "POST", "flows/", {"name": flow})
    body: dict[str, Any] = {"name": flow, "flow_id": made["id"], "entrypoint": ENTRYPOINT}
    if pool:
        step = {"prefect.deployments.steps.set_working_directory": {"directory": directory}}
        body.update(work_pool_name=pool, pull_steps=[step, *steps])
    else:
        body.update(path=directory, infrastructure_document_id=_process_block(host, api))
    if queue:
        body.update(work_queue_name=queue)
    schedule = Schedule(api, body, server_ahead(made), soon=True)
    schedule.write(host)
    return schedule


def _process_block(host: Reader, api: Api) -> str:
    """A block without a name that has an agent run a flow as a process of its own. It goes with the deployment."""
    block_type = api.must(host, "GET", "block_types/slug/process")["id"]
    query = {"block_schemas": {"block_type_id": {"any_": [block_type]}}}
    schema = api.must(host, "POST", "block_schemas/filter", query)[0]["id"]
    body = {"block_type_id": block_type, "block_schema_id": schema, "data": {}, "is_anonymous": True}
    return str(api.must(host, "POST", "block_documents/", body)["id"])


class Runs:
    """The runs of one verification, which only ``workers`` can carry out. ``state`` is that of the decisive run.

    The first is made by the server, from the schedule; unless ``scheduled`` is false (the scheduler is off).
    A worker asks for work every ten seconds or so and takes all there is. So a next run is started as soon as a
    stranger has taken one: it waits for the next worker that asks, and the turn comes round to ours. Were it started
    when the stranger has failed, the same stranger would be the next to ask, again and again.
    """

    def __init__(
        self, api: Api, pool: str, flow: str, schedule: Schedule, workers: Sequence[str], scheduled: bool
    ) -> None:
        self._api, self._pool, self._flow, self._schedule = api, pool, flow, schedule
        self._workers, self._scheduled = workers, not scheduled
        self._failed_elsewhere: set[str] = set()
        self.run, self.state = "", ""
        self.lines: list[str] = []

    def over(self, host: System) -> bool:
        """Look at all runs, and start one more where none is left for our worker. True when there is a verdict.

        Raises Failure where the server makes none of the schedule.
        """
        hopes, found = 0, runs_of(host, self._api, self._flow)
        self._scheduled = self._scheduled or self._schedule.made(host, found)
        if not self._scheduled:
            if self._schedule.given_up:
                raise not_made(self._schedule).failure()
            return False
        for run in filter(self._schedule.due, found):
            self.run, self.state = run["id"], str(run.get("state_type") or "")
            if self.state == "COMPLETED" or (self.state in ENDED and not self._elsewhere(host, run)):
                return True
            hopes += self.state not in ENDED and not self._is_strangers(run)
        if not hopes:
            body = {"state": {"type": "SCHEDULED", "name": "Scheduled"}}
            self._api.must(host, "POST", f"deployments/{self._schedule.deployment}/create_flow_run", body)
        return False

    def _is_strangers(self, run: dict[str, Any]) -> bool:
        """Whether another worker has taken a run. Releases before 3.1, and agents, do not say: its end shows it."""
        taker = (run.get("labels") or {}).get(TAKER)
        return taker is not None and taker not in self._workers

    def _elsewhere(self, host: Reader, run: dict[str, Any]) -> bool:
        """Whether a run that has failed did so because another host's worker had taken it."""
        if self._is_strangers(run) or run["id"] in self._failed_elsewhere:
            return True
        self.lines = log_lines(host, self._api, run["id"])
        others = not self._pool or len(online_workers(host, self._api, self._pool)) > 1
        if others and unseen(self.lines, self._flow):
            self._failed_elsewhere.add(run["id"])
        return run["id"] in self._failed_elsewhere

    def confirm(self, host: System) -> None:
        """Take back what no worker has taken, and wait until the others are over, each with its worker's last word.

        Some releases' workers log the end of the process after that of the run; a line that came after the deletion
        would stay for ever.
        """
        for run in runs_of(host, self._api, self._flow):
            if run.get("state_type") == "SCHEDULED":
                delete(host, self._api, f"flow_runs/{run['id']}")
        host.wait_for(lambda: self._all_ended(host), SETTLE)
        lines, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal lines, since
            ids = [run["id"] for run in runs_of(host, self._api, self._flow)]
            count = len(log_lines(host, self._api, *ids))
            if count != lines:
                lines, since = count, time.monotonic()
            return time.monotonic() - since >= QUIET

        host.wait_for(quiet, 4 * QUIET)

    def _all_ended(self, host: Reader) -> bool:
        """Whether no run is at work. Those of the next days may be made again until the deployment is removed."""
        over = (*ENDED, "SCHEDULED")
        return all(run.get("state_type") in over for run in runs_of(host, self._api, self._flow))


def unseen(lines: list[str], flow: str) -> bool:
    """Whether a run's log says that its worker did not find the verification's directory.

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


def why_not_taken(host: Reader, api: Api, pool: str, state: str, seconds: float, who: str) -> Problem:
    """Why no worker, or agent (``who``), finished a run in time."""
    reason = f"{who} did not finish the test flow within {seconds:.0f} s; its state is {state or 'unknown'}"
    if not pool:
        return Problem(reason, "no agent polls the queue, or it is paused", "check the agent's unit and its journal")
    found = api.must(host, "GET", f"work_pools/{pool}")
    online = online_workers(host, api, pool)
    if found.get("is_paused"):
        return Problem(reason, "the pool is paused", f"prefect work-pool resume {pool}")
    if not online:
        return Problem(reason, "no worker of that pool is online", "check the worker's unit and its journal")
    return Problem(
        reason,
        f"online: {', '.join(online)}; the pool's concurrency limit is {found.get('concurrency_limit')}, so it may be "
        "full, or the worker may be busy",
        "check the pool in the UI, or wait and run `fab verify` again",
    )
