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
from roles.client import role as client
from roles.database import host as database_host
from roles.database import settings as database
from roles.network import access, address, firewall, tls
from roles.postgres import role as postgres
from roles.prefect import known_faults, runtime, server_choice
from roles.prefect import role as prefect
from roles.prefect.groups import CLIENTS
from roles.prefect.release import Settings as PrefectSettings
from roles.server import role as server
from roles.server import settings as server_settings
from roles.worker import pools as work_pools
from roles.worker import role as worker

#: Every role's settings: the keys that an inventory may set.
SETTINGS: tuple[type, ...] = (
    PrefectSettings,
    known_faults.Settings,
    server_choice.Settings,
    address.Settings,
    tls.Settings,
    database.Settings,
    database_host.Settings,
    server_settings.Settings,
    runtime.Settings,
    access.Settings,
    firewall.Settings,
    worker.Settings,
    work_pools.Settings,
    client.Settings,
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


def _worker(host: SiteHost, site: Site) -> Iterator[Item]:
    yield from prefect.resources(host, site)
    yield from worker.resources(host, site)


STAGES = (
    Stage("database", database_host.is_declared, postgres.expectations, postgres.for_others, of_host=True),
    Stage("server", server.is_declared, server.expectations, server.resources, server.proof),
    Stage("worker", worker.is_declared, worker.expectations, _worker, worker.proof),
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
        hint = "use `fab configure-client` for it" if host.in_group(CLIENTS) else "put it into servers"
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
    found += [text for view in views if server.is_declared(view) for text in address.warnings(view)]
    found += [text for view in views for text in unused_settings.warnings(view, site)]
    return list(dict.fromkeys(found))


def _facts(host: SiteHost, site: Site) -> list[str]:
    """What faults of a release depend on."""
    runs = worker.is_declared(host)
    used = host if server.is_declared(host) else server_choice.server_for(host, site) if runs else None
    held = {
        "worker": runs,
        "auth": used is not None and access.auth(used, site) is not None,
        "proxy": server.is_declared(host) and host.settings(address.Settings).tls != "off",
    }
    return [fact for fact, holds in held.items() if holds]


def _part(host: SiteHost) -> str:
    """What tells an instance's steps from the others'; nothing where it is alone."""
    return host.instance if len(host.instances) > 1 else ""


def _views(host: SiteHost, stage: Stage, instance: str) -> Sequence[SiteHost]:
    if stage.of_host:
        return [view for view in host.instances[:1] if stage.takes(view)]
    return [view for view in host.instances if instance in ("", view.instance) and stage.takes(view)]
