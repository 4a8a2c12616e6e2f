"""What an inventory says of workers and agents."""

from __future__ import annotations

from typing import Literal

from encamp.settings.declare import setting
from encamp.shared.record import record
from roles.worker.host_access import HostAccess
from roles.worker.pools import check_pool

DEFAULT_POOL = "default"
PROCESS = "process"
#: The type of pool that Prefect 2 makes for agents.
AGENTS = "prefect-agent"


@record
class Worker(HostAccess):
    """Workers of one kind on a host."""

    pool: str = setting(DEFAULT_POOL, "Work pool that it polls.", check=check_pool)
    type: str = setting(PROCESS, "Infrastructure type of its flow runs. Types other than process need their package.")
    queues: tuple[str, ...] = setting((), "Queues of the pool that it polls. Empty: all.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type != PROCESS and not self.packages:
            raise ValueError(f"a {self.type} worker needs its package: packages: [prefect-{self.type}]")


@record
class Agent(HostAccess):
    """Agents of one kind on a host, for Prefect 2."""

    pool: str = setting("", "Work pool whose queues it polls, if the release has pools. Empty: none.", check=check_pool)
    queues: tuple[str, ...] = setting((DEFAULT_POOL,), "Queues that it polls.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.queues:
            raise ValueError("an agent needs queues: [NAME, ...]")


@record
class Settings:
    """Workers and agents of a host."""

    workers: tuple[Worker, ...] = setting(
        (),
        "Workers of this host. Workers that are no longer declared finish their flow runs and are removed. "
        "Empty: one worker for work_pool.",
        example="[{pool: etl, count: 2, limit: 4}]",
    )
    agents: tuple[Agent, ...] = setting(
        (), "Agents of this host, for Prefect 2.", example="[{queues: [default], count: 2}]"
    )
    work_pool: str = setting(
        "",
        "Work pool that a worker on this host polls. Empty: hosts of the group workers poll `default`.",
        check=check_pool,
    )
    work_pool_concurrency: int = setting(0, "Concurrent flow runs of the pool. 0: no limit.", minimum=0)
    worker_limit: int = setting(0, "Concurrent flow runs of this worker. 0: no limit.", minimum=0)
    worker_stop_timeout: int = setting(
        600, "Seconds for a worker to finish its flow runs when it is stopped or restarted.", minimum=1
    )
    worker_killed_runs: Literal["report", "crash"] = setting(
        "report",
        "What to do with flow runs that were killed after the stop timeout, which the server shows as "
        "running forever. report lists them; crash sets them to Crashed, which frees their concurrency slots.",
    )

    def __post_init__(self) -> None:
        if self.workers and (self.work_pool or self.worker_limit or self.work_pool_concurrency):
            raise ValueError(
                "workers: and the short form (work_pool, worker_limit, work_pool_concurrency) are both set: move "
                "pool: and limit: to workers:, and the pool's limit to work_pools: of the server"
            )
