"""Why flow runs are late: what the server says of the places they wait in."""

from __future__ import annotations

from urllib.parse import quote

from roles.doctor.kinds.api_target import ApiTarget

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
    if limit is not None and _busy(target, pool) >= limit:
        return f"work pool {pool} is full: its concurrency limit is {limit}", "raise it, or wait for runs to end"
    workers = target.ask("POST", f"{path}/workers/filter", {"limit": LIMIT})
    if workers is not None and not any(worker.get("status") == "ONLINE" for worker in workers):
        return f"no worker of work pool {pool} is online", "start one, or check it with `fab doctor`"
    return f"work pool {pool} is not paused, not full, and has workers online: {UNKNOWN}", "check the worker's log"


def _busy(target: ApiTarget, pool: str) -> int:
    """How many runs take up the limit of a work pool."""
    states = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    found = target.ask("POST", "flow_runs/count", {"flow_runs": states, "work_pools": {"name": {"any_": [pool]}}})
    return found if isinstance(found, int) else 0
