"""The order of the play: which roles make up a stage, and which hosts take part in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from encamp.errors import UsageError
from encamp.plan import Item, Step
from encamp.resources.base import Resource
from encamp.site import Site, SiteHost
from roles import base, firewall, postgres, prefect_client, prefect_server, prefect_worker

#: Every role's settings: the keys that an inventory may set.
SETTINGS: tuple[type, ...] = (
    base.Settings,
    prefect_server.Settings,
    firewall.Settings,
    prefect_worker.Settings,
    prefect_client.Settings,
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of a deploy. A stage opens when every host of the one before is healthy."""

    name: str
    takes: Callable[[SiteHost], bool]
    items: Callable[[SiteHost, Site], Iterator[Item]]
    proof: Callable[[SiteHost, Site], Resource]


def _is_server(host: SiteHost) -> bool:
    """Members of servers; and, where the site says ``adhoc: true``, hosts that are in none of encamp's groups."""
    groups = (prefect_server.GROUP, prefect_worker.GROUP, prefect_client.GROUP)
    return host.in_group(prefect_server.GROUP) or (host.adhoc and not any(map(host.in_group, groups)))


def _server(host: SiteHost, site: Site) -> Iterator[Item]:
    yield from prefect_server.expectations(host)
    yield from base.resources(host, site)
    yield from postgres.resources(host, site)
    yield from prefect_server.resources(host, site)
    yield from firewall.resources(host, site)


def _worker(host: SiteHost, site: Site) -> Iterator[Item]:
    yield from prefect_worker.expectations(host)
    yield from base.resources(host, site)
    yield from prefect_worker.resources(host, site)


STAGES = (
    Stage("server", _is_server, _server, lambda host, site: prefect_server.proof(host)),
    Stage("worker", prefect_worker.is_declared, _worker, prefect_worker.proof),
)


def taking_part(host: SiteHost) -> list[Stage]:
    """The stages that a host belongs to. Raises UsageError for a host that a deploy has nothing for."""
    stages = [stage for stage in STAGES if stage.takes(host)]
    if not stages:
        hint = "use `fab configure-client` for it" if host.in_group(prefect_client.GROUP) else "put it into servers"
        raise UsageError(f"{host.name} is in no group that deploy knows (servers, workers)", hint)
    return stages


def items(host: SiteHost, site: Site, stages: list[Stage], prove: bool) -> Iterator[Item]:
    """Everything that a host is to be for its stages, and at the end the proof of the last one if anything changed."""
    for stage in stages:
        yield from stage.items(host, site)
    if prove:
        yield Step(stages[-1].proof(host, site), when_changed=True)
