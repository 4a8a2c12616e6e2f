"""The order of the play: which roles make up a stage, and which hosts take part in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from encamp.errors import UsageError
from encamp.planning.plan import Item, Step, of_part
from encamp.resources.base import Resource
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles import unused_settings
from roles.client import database as client_database
from roles.client import role as prefect_client
from roles.database import host as database_host
from roles.database import settings as database
from roles.network import access, address, firewall, proxy, tls
from roles.postgres import role as postgres
from roles.prefect import known_faults, runtime
from roles.prefect import role as base
from roles.server import compose
from roles.server import role as prefect_server
from roles.worker import pools as work_pools
from roles.worker import role as prefect_worker

#: Every role's settings: the keys that an inventory may set.
SETTINGS: tuple[type, ...] = (
    base.Settings,
    known_faults.Settings,
    address.Settings,
    tls.Settings,
    database.Settings,
    database_host.Settings,
    prefect_server.Settings,
    runtime.Settings,
    access.Settings,
    firewall.Settings,
    prefect_worker.Settings,
    work_pools.Settings,
    prefect_client.Settings,
    client_database.Settings,
)


@record
class Stage:
    """One part of a deploy, for each instance of a host. A stage opens when every host of the one before is healthy.

    ``expectations`` are what must hold before anything on the host is changed, ``items`` what it is to be. Without
    ``proof`` the items prove themselves. ``of_host``: it is one for all instances of a host.
    """

    name: str
    takes: Callable[[SiteHost], bool]
    expectations: Callable[[SiteHost, Site], Iterator[Item]]
    items: Callable[[SiteHost, Site], Iterator[Item]]
    proof: Callable[[SiteHost, Site], Resource] | None = None
    of_host: bool = False


def is_server(host: SiteHost) -> bool:
    """Whether it runs servers.

    Members of servers; and, where the site says ``adhoc: true``, hosts that are in none of encamp's groups.
    """
    groups = (database_host.GROUP, prefect_server.GROUP, prefect_worker.GROUP, prefect_client.GROUP)
    return host.in_group(prefect_server.GROUP) or (host.adhoc and not any(map(host.in_group, groups)))


def _server_expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    yield compose.runtime_expectation(host)
    yield from (compose if runtime.is_chosen(host) else prefect_server).expectations(host, site)
    yield from proxy.expectations(host, site)


def server_proof(host: SiteHost, site: Site) -> Resource:
    """A flow run from a server's own host, or from its container."""
    return compose.proof(host, site) if runtime.is_chosen(host) else prefect_server.proof(host, site)


def _server(host: SiteHost, site: Site) -> Iterator[Item]:
    if runtime.is_chosen(host):
        yield from compose.resources(host, site)
    else:
        yield from base.resources(host, site)
        yield from postgres.resources(host, site)
        yield from prefect_server.resources(host, site)
    yield from firewall.resources(host, site)
    yield from proxy.resources(host, site)
    yield from work_pools.resources(host, site)


def _worker(host: SiteHost, site: Site) -> Iterator[Item]:
    yield from base.resources(host, site)
    yield from prefect_worker.resources(host, site)


STAGES = (
    Stage("database", database_host.is_declared, postgres.expectations, postgres.for_others, of_host=True),
    Stage("server", is_server, _server_expectations, _server, server_proof),
    Stage("worker", prefect_worker.is_declared, prefect_worker.expectations, _worker, prefect_worker.proof),
)


def taking_part(host: SiteHost, instance: str = "") -> list[Stage]:
    """The stages that a host, or just one of its instances, belongs to.

    Raises UsageError for a host that a deploy has nothing for.
    """
    stages = [stage for stage in STAGES if _views(host, stage, instance)]
    if not stages and instance:
        known = ", ".join(view.instance for view in host.instances)
        raise UsageError(f"{host.name} has no instance {instance} to deploy (it has {known})", "see instances:")
    if not stages:
        hint = "use `fab configure-client` for it" if host.in_group(prefect_client.GROUP) else "put it into servers"
        raise UsageError(f"{host.name} is in no group that deploy knows (databases, servers, workers)", hint)
    return stages


def items(host: SiteHost, site: Site, stages: list[Stage], prove: bool, instance: str = "") -> Iterator[Item]:
    """Everything that a host is to be for its stages: first what must hold, and at the end the proofs of what changed.

    A worker's proof is one of its server, too: an instance is proved by its last stage.
    """
    taken = [(stage, view) for stage in stages for view in _views(host, stage, instance)]
    for stage, view in taken:
        if not stage.of_host:
            known_faults.refuse(view, _facts(view, site))
        yield from stage.expectations(view, site)
    for stage, view in taken:
        for item in stage.items(view, site):
            yield of_part("" if stage.of_host else _part(view), item)
    last = {view.instance: (stage.proof, view) for stage, view in taken if stage.proof}
    if prove:
        for proof, view in last.values():
            yield Step(proof(view, site), when_changed=True, part=_part(view))


def warnings(host: SiteHost, site: Site, instance: str = "") -> list[str]:
    """What an operator should know of a host's releases and settings before a deploy, each once."""
    views = [view for stage in STAGES if not stage.of_host for view in _views(host, stage, instance)]
    found = [text for view in views for text in known_faults.warnings(view, _facts(view, site))]
    found += [text for view in views if is_server(view) for text in address.warnings(view)]
    found += [text for view in views for text in unused_settings.warnings(view, site, is_server)]
    return list(dict.fromkeys(found))


def _facts(host: SiteHost, site: Site) -> list[str]:
    """What faults of a release depend on."""
    worker = prefect_worker.is_declared(host)
    server = host if is_server(host) else prefect_worker.server_for(host, site) if worker else None
    held = {
        "worker": worker,
        "auth": server is not None and access.auth(server, site) is not None,
        "proxy": is_server(host) and host.settings(address.Settings).tls != "off",
    }
    return [fact for fact, holds in held.items() if holds]


def _part(host: SiteHost) -> str:
    """What tells an instance's steps from the others'; nothing where it is alone."""
    return host.instance if len(host.instances) > 1 else ""


def _views(host: SiteHost, stage: Stage, instance: str) -> Sequence[SiteHost]:
    if stage.of_host:
        return [view for view in host.instances[:1] if stage.takes(view)]
    return [view for view in host.instances if instance in ("", view.instance) and stage.takes(view)]
