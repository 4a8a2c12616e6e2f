"""Flow runs that stay Pending, Running or Cancelling because what was to carry them out is gone.

A worker that is killed cannot end its runs, and no server does it: they hold the slots of their limits for ever.
"""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional, Sequence
from urllib.parse import quote

from encamp.shared.record import record
from roles.doctor.kinds.api_target import ApiTarget, clock_ahead
from roles.doctor.kinds.findings import Finding, ok, unknown, warn
from roles.prefect.kinds.api import seconds_of
from roles.worker.kinds.runs import running

STATES = ("PENDING", "RUNNING", "CANCELLING")
LIMIT, SHOWN = 200, 3
#: Label of a flow run that names the worker which took it, since 3.1.
TAKER = "prefect.worker.name"
#: Seconds in a state before which a run is not judged, and after which one that only waits is reported.
SETTLED, LONG = 120.0, 900.0
#: Seconds without a heartbeat after which a worker counts as gone, where the release does not say so itself.
SILENT = 100.0
#: Pools whose runs end with their worker; those of agents have no workers to ask for.
OWN_PROCESSES, AGENTS = "process", "prefect-agent"
END_THEM = "in the UI, set their state to Crashed, which frees their slots; or `prefect flow-run delete ID`"


@record
class Pool:
    """A work pool: its ``type``, and the names of its workers that the server hears from (None: it does not say)."""

    type: str
    online: Optional[Sequence[str]]

    def has_lost(self, run: dict[str, Any]) -> bool:
        """Whether what was to carry out a run is gone."""
        if self.online is None or self.type == AGENTS:
            return False
        if run["state_type"] == "RUNNING" and self.type != OWN_PROCESSES:
            return False  # it goes on in its container or job
        taker = (run.get("labels") or {}).get(TAKER)
        return taker not in self.online if taker else not self.online


def check_stuck_runs(target: ApiTarget) -> Optional[Finding]:
    """No flow run waits for a worker that is gone."""
    busy = target.ask("POST", "flow_runs/filter", _query())
    if not isinstance(busy, list):
        return unknown("flow runs cannot be listed")
    settled = [run for run in busy if age(target, run) > SETTLED]
    pools = {str(run["work_pool_name"]) for run in settled if run.get("work_pool_name")}
    known = {name: _pool(target, name) for name in sorted(pools)}
    lost = [run for run in settled if run.get("work_pool_name") and known[run["work_pool_name"]].has_lost(run)]
    if lost:
        places = ", ".join(sorted({str(run["work_pool_name"]) for run in lost}))
        why = "killed, its host is down, or it cannot reach the server"
        cause = f"the worker of work pool {places} that took them is gone ({why})"
        return warn(f"{len(lost)} flow runs will not end: {named(lost)}", cause, END_THEM)
    waiting = [run for run in settled if run["state_type"] != "RUNNING" and age(target, run) > LONG]
    if waiting:
        text = f"{len(waiting)} flow runs are Pending or Cancelling for more than {LONG / 60:.0f} min: {named(waiting)}"
        cause = "their worker was restarted while it took them, or their process ended without a word"
        return warn(text, cause, f"read the worker's log; if it has no such process: {END_THEM}")
    return ok(f"none of {len(busy)} flow runs at work" if busy else "none")


def check_own_runs(target: ApiTarget, unit: str, pool: str, worker: str) -> Optional[Finding]:
    """Every flow run that a worker for processes took has one on this host, in the control group of its ``unit``."""
    busy = target.ask("POST", "flow_runs/filter", {**_query(), "work_pools": {"name": {"any_": [pool]}}})
    taken = [run for run in busy or () if (run.get("labels") or {}).get(TAKER) == worker and age(target, run) > SETTLED]
    if not taken:
        return None
    alive = running(target.host, unit)
    lost = [run for run in taken if run["id"] not in alive]
    if not lost:
        return ok(f"{len(taken)} flow runs, each with its process")
    cause = "the worker or their process was killed, and the server was not told"
    return warn(f"{len(lost)} flow runs of this worker have no process here: {named(lost)}", cause, END_THEM)


def _query() -> dict[str, Any]:
    chosen = {"state": {"type": {"any_": list(STATES)}}}
    return {"flow_runs": chosen, "sort": "EXPECTED_START_TIME_ASC", "limit": LIMIT}


def age(target: ApiTarget, run: dict[str, Any]) -> float:
    """Seconds that a run has been in its state."""
    since = seconds_of((run.get("state") or {}).get("timestamp"))
    return time.time() - clock_ahead(target) - since if since else 0.0


def named(runs: Sequence[dict[str, Any]]) -> str:
    """The first few runs, each with its state and id."""
    shown = [f"{run.get('name')} ({run['state_type'].capitalize()}, {run['id']})" for run in runs[:SHOWN]]
    return ", ".join(shown) + (" ..." if len(runs) > SHOWN else "")


def _pool(target: ApiTarget, name: str) -> Pool:
    path = f"work_pools/{quote(name, safe='')}"
    found = target.ask("GET", path) or {}
    workers = target.ask("POST", f"{path}/workers/filter", {"limit": LIMIT})
    online = [str(worker["name"]) for worker in workers if is_online(target, worker)] if workers is not None else None
    return Pool(str(found.get("type") or ""), online)


def is_online(target: ApiTarget, worker: Mapping[str, Any]) -> bool:
    """Whether the server hears from a worker."""
    if worker.get("status"):
        return bool(worker["status"] == "ONLINE")
    heard = seconds_of(worker.get("last_heartbeat_time"))
    return heard is not None and time.time() - clock_ahead(target) - heard < SILENT
