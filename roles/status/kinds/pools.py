"""The work pools of a server: who works on them, how full they are, which are paused."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence
from urllib.parse import quote

from encamp.shared.record import record
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import Finding, ok, warn
from roles.doctor.kinds.late_runs import busy, no_worker
from roles.doctor.kinds.server.subject import ServerSubject
from roles.doctor.kinds.stuck_runs import is_online

#: Pools that are asked about, and workers of each: what a server returns at most.
ASKED, WORKERS = 50, 200
#: Types of pools that no worker of ours works on: agents of Prefect 2, and what Prefect Cloud runs by itself.
WITHOUT_WORKERS = ("prefect-agent",)
BY_THEMSELVES = (":push", ":managed")


@record
class Pool:
    """A work pool: what the server says of it in a few words, and what is wrong with it, as (text, cause, fix)."""

    text: str
    wrong: Optional[tuple[str, str, str]] = None


def check(paused: Sequence[str]) -> Callable[[ServerSubject], Optional[Finding]]:
    """No pool is paused but those that are declared so, and every pool that had workers has one online."""
    return lambda subject: _check(subject.target, paused)


def _check(target: ApiTarget, paused: Sequence[str]) -> Optional[Finding]:
    found = target.ask("POST", "work_pools/filter", {"limit": ASKED})
    if not isinstance(found, list):
        return None
    pools = [_pool(target, pool, paused) for pool in sorted(found, key=lambda pool: str(pool.get("name")))]
    rest = [f"only {ASKED} were looked at"] if len(pools) == ASKED else []
    text = "; ".join([*(pool.text for pool in pools), *rest])
    wrong = [pool.wrong for pool in pools if pool.wrong]
    if not wrong:
        return ok(text or "no work pool")
    texts, causes, fixes = ("; ".join(dict.fromkeys(filter(None, column))) for column in zip(*wrong))
    return warn(texts, causes, fixes)


def _pool(target: ApiTarget, pool: dict[str, Any], paused: Sequence[str]) -> Pool:
    name, kind = str(pool.get("name")), str(pool.get("type"))
    limit, taken = pool.get("concurrency_limit"), busy(target, name)
    slots = f"{taken} of {limit} slots taken" if limit is not None else f"{taken} at work"
    if pool.get("is_paused") and name in paused:
        return Pool(f"{name} ({kind}): paused, as declared")
    if pool.get("is_paused"):
        resume = f"`prefect work-pool resume {name}`"
        return Pool(f"{name} ({kind}): paused", (f"work pool {name} is paused", "it was paused by hand", resume))
    if kind in WITHOUT_WORKERS or kind.endswith(BY_THEMSELVES):
        return Pool(f"{name} ({kind}): {slots}")
    workers = target.ask("POST", f"work_pools/{quote(name, safe='')}/workers/filter", {"limit": WORKERS})
    if workers is None:
        return Pool(f"{name} ({kind}): {slots}")
    online = sum(is_online(target, worker) for worker in workers)
    text = f"{name} ({kind}): {online} worker{'' if online == 1 else 's'} online, {slots}"
    if online or not workers:
        return Pool(text)
    cause, fix = no_worker(target, name, workers)
    return Pool(text, (cause, "stopped, killed, or it cannot reach the server", fix))
