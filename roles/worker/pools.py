"""Work pools, their queues, and concurrency limits as declared state, kept right through the server's API."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from encamp.support.paths import locate
from roles.network import access, address
from roles.prefect import versions
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version
from roles.worker.kinds.concurrency_limit import GlobalConcurrencyLimit, TagConcurrencyLimit
from roles.worker.kinds.pool import WorkPool
from roles.worker.kinds.queue import WorkQueue

LAST = 10**9


def check_names(value: Any) -> str | None:
    """What is wrong with names of pools, queues or limits, if anything: Prefect keeps some for itself."""
    for name in value:
        if not str(name).strip() or set(str(name)) & set("/%&<>"):
            return f"{name!r} is not a valid name: it must not be empty or contain / % & < >"
    return None


def _check_pools(value: Any) -> str | None:
    reserved = [name for name in value if str(name).lower().startswith("prefect")]
    return f"{reserved[0]}: names that begin with prefect are reserved by Prefect" if reserved else check_names(value)


def check_pool(value: str) -> str | None:
    """What is wrong with the name of one pool, if anything. None at all is fine here."""
    return _check_pools([value]) if value else None


def _check_priorities(value: dict[str, Queue]) -> str | None:
    given = [queue.priority for queue in value.values() if queue.priority is not None]
    twice = [priority for priority in given if given.count(priority) > 1]
    return f"two queues have priority {twice[0]}; each needs a different one" if twice else check_names(value)


def _check_limits(value: dict[str, int]) -> str | None:
    below = [name for name, limit in value.items() if limit < 0]
    return f"{below[0]} must be 0 or more" if below else check_names(value)


@record
class Queue:
    """A queue of a work pool."""

    priority: int | None = setting(
        None,
        "Priority of the queue: 1 is served before 2. Each queue of a pool has a different one. None: unchanged.",
        minimum=1,
    )
    concurrency_limit: int | None = setting(None, "Concurrent flow runs of the queue. None: no limit.", minimum=0)
    description: str | None = setting(None, "Description of the queue. None: unchanged.")


@record
class Pool:
    """A work pool."""

    type: str = setting("process", "Infrastructure type of its workers.")
    concurrency_limit: int | None = setting(None, "Concurrent flow runs of the pool. None: no limit.", minimum=0)
    paused: bool | None = setting(None, "Whether the pool is paused. None: unchanged, so that a manual pause is kept.")
    description: str | None = setting(None, "Description of the pool. None: unchanged.")
    base_job_template: str = setting(
        "",
        "JSON file on the controller with the pool's job template (`prefect work-pool get-default-base-job-template` "
        "prints one). Empty: the default of the type.",
        example="files/job-template.json",
    )
    queues: dict[str, Queue] = setting({}, "Queues by name, in addition to `default`.", check=_check_priorities)


@record
class GlobalLimit:
    """A limit that code asks for by name."""

    limit: int = setting(help="Slots.", minimum=0)
    slot_decay_per_second: float = setting(0.0, "Slots released per second: makes it a rate limit.", minimum=0)
    active: bool = setting(True, "Whether the limit is enforced.")


@record
class Settings:
    """Work pools, queues and concurrency limits of a server.

    What is not declared is left alone; nothing is deleted.
    """

    work_pools: dict[str, Pool] = setting(
        {},
        "Work pools of the server by name. A pool that only a worker refers to is created without limits.",
        check=_check_pools,
        example="{etl: {concurrency_limit: 8, queues: {urgent: {priority: 1}}}}",
    )
    concurrency_limits: dict[str, int] = setting(
        {},
        "Concurrent task runs by tag, on the whole server.",
        check=_check_limits,
        example="{database: 4}",
    )
    global_concurrency_limits: dict[str, GlobalLimit] = setting(
        {},
        "Limits that flows and tasks use by name, with concurrency(...) and rate_limit(...).",
        check=check_names,
        example="{some-api: {limit: 10, slot_decay_per_second: 1.5}}",
    )


def expectations(host: SiteHost) -> None:
    """Raises SettingsError for what the server's release does not have."""
    settings, version = host.settings(Settings), prefect_version(host)
    for key, ability in (("work_pools", "work pools"), ("global_concurrency_limits", "global concurrency limits")):
        if getattr(settings, key) and not versions.able(ability, version):
            raise SettingsError(
                f"{host.name}: Prefect {version} has no {ability}",
                f"choose {versions.since(ability)} or later, or remove {key}",
                host.origin(key),
            )


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Pools, queues in the order of their priorities, and limits, through the server's own address."""
    expectations(host)
    settings, api = host.settings(Settings), access_of(host, site)
    prefix = Layout(host.instance).prefix
    for name, pool in settings.work_pools.items():
        yield WorkPool(
            name,
            type=pool.type,
            concurrency_limit=pool.concurrency_limit,
            paused=pool.paused,
            description=pool.description,
            base_job_template=_template(host, pool.base_job_template),
            prefix=prefix,
            **api,
        )
        yield from _queues(name, pool, prefix, api)
    for tag, limit in settings.concurrency_limits.items():
        yield TagConcurrencyLimit(tag, limit, prefix=prefix, **api)
    for name, wanted in settings.global_concurrency_limits.items():
        yield GlobalConcurrencyLimit(name, **dataclasses.asdict(wanted), prefix=prefix, **api)


def access_of(host: SiteHost, site: Site) -> dict[str, Any]:
    """How the server's own host reaches the API: the fields that each of these kinds has for it."""
    return {"api_url": f"{address.local_url(host)}/api", "auth": access.auth(host, site)}


def _queues(pool_name: str, pool: Pool, prefix: str, api: dict[str, Any]) -> Iterator[Item]:
    """Queues whose priority is declared first, by priority: setting one moves only those behind it."""
    for name, queue in sorted(pool.queues.items(), key=lambda item: item[1].priority or LAST):
        yield WorkQueue(
            f"{prefix}{pool_name}/{name}",
            name=name,
            pool=pool_name,
            priority=queue.priority,
            concurrency_limit=queue.concurrency_limit,
            description=queue.description,
            **api,
        )


def _template(host: SiteHost, name: str) -> str | None:
    """The job template in a file, as compact JSON. Raises SettingsError."""
    if not name:
        return None
    path = locate(name, host.inventory.directory)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise _wrong_template(host, f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise _wrong_template(host, f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict) or not {"job_configuration", "variables"} <= found.keys():
        raise _wrong_template(host, f"{path} has no job_configuration and variables")
    return json.dumps(found, sort_keys=True)


def _wrong_template(host: SiteHost, reason: str) -> SettingsError:
    fix = "`prefect work-pool get-default-base-job-template --type process --file FILE` writes one to start from"
    return SettingsError(f"base_job_template: {reason}", fix, host.origin("work_pools"))
