"""Why flow runs are late: what the server says of the places they wait in."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence
from urllib.parse import quote

from roles.doctor.kinds.api_target import ApiTarget, clock_ahead
from roles.doctor.kinds.stuck_runs import is_online
from roles.prefect.kinds.api import seconds_of

#: How many late runs are looked at.
LIMIT = 200
UNKNOWN = (
    "a limit is reached (of the worker, a tag, a deployment or a named limit), or the worker has only just started"
)


def causes(target: ApiTarget) -> list[tuple[str, str]]:
    """(cause, fix) for each work queue in which runs are late; empty where the server does not say."""
    chosen = {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}, "limit": LIMIT}
    runs = target.ask("POST", "flow_runs/filter", chosen)
    places = {(str(run.get("work_pool_name") or ""), str(run.get("work_queue_name") or "")) for run in runs or ()}
    return [_cause(target, pool, queue) for pool, queue in sorted(places)]


def _cause(target: ApiTarget, pool: str, queue: str) -> tuple[str, str]:
    if not pool:
        if queue:
            return (
                f"they wait for an agent that polls the work queue {queue}",
                "check the agent, and whether the queue is paused",
            )
        return "they wait for the process that serves their flow (`flow.serve()`)", "start it, or check its output"
    path = f"work_pools/{quote(pool, safe='')}"
    found = target.ask("GET", path) or {}
    if found.get("is_paused"):
        return f"work pool {pool} is paused", f"`prefect work-pool resume {pool}`"
    if (target.ask("GET", f"{path}/queues/{quote(queue, safe='')}") or {}).get("is_paused"):
        return f"work queue {queue} of {pool} is paused", f"`prefect work-queue resume {queue} --pool {pool}`"
    limit = found.get("concurrency_limit")
    if limit is not None and busy(target, pool) >= limit:
        return f"work pool {pool} is full: its concurrency limit is {limit}", "raise it, or wait for runs to end"
    workers = target.ask("POST", f"{path}/workers/filter", {"limit": LIMIT})
    if workers is not None and not any(is_online(target, worker) for worker in workers):
        return no_worker(target, pool, workers)
    return f"work pool {pool} is not paused, not full, and has workers online: {UNKNOWN}", "check the worker's log"


def no_worker(target: ApiTarget, pool: str, workers: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(cause, fix) for a work pool without a worker online; ``workers``: those that the server has heard from."""
    none = f"no worker of work pool {pool} is online"
    if not workers:
        return f"{none}: it has none", "declare one (workers: in the inventory), or start one"
    last = max(workers, key=lambda worker: seconds_of(worker.get("last_heartbeat_time")) or 0.0)
    heard = seconds_of(last.get("last_heartbeat_time"))
    ago = f", {(time.time() - clock_ahead(target) - heard) / 60:.0f} min ago" if heard else ""
    others = f" (and {len(workers) - 1} more)" if len(workers) > 1 else ""
    return f"{none}: {last.get('name')}{others} was last heard from{ago}", "start it, or check it with `fab doctor`"


def busy(target: ApiTarget, pool: str) -> int:
    """How many runs take up the limit of a work pool."""
    states = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    found = target.ask("POST", "flow_runs/count", {"flow_runs": states, "work_pools": {"name": {"any_": [pool]}}})
    return found if isinstance(found, int) else 0
