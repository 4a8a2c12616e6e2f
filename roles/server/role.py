"""The Prefect server, however it is run: on the host or in containers, with its database, firewall, proxy and pools."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.planning.plan import Item
from encamp.resources.base import Resource
from encamp.site import Site, SiteHost
from roles.network import firewall, proxy
from roles.postgres import role as postgres
from roles.prefect import role as prefect
from roles.prefect import runtime
from roles.prefect.groups import CLIENTS, DATABASES, SERVERS, WORKERS
from roles.server import compose, native
from roles.worker import pools


def is_declared(host: SiteHost) -> bool:
    """Whether it runs servers.

    Members of servers; and, where the site says ``adhoc: true``, hosts that are in none of encamp's groups.
    """
    groups = (DATABASES, SERVERS, WORKERS, CLIENTS)
    return host.in_group(SERVERS) or (host.adhoc and not any(map(host.in_group, groups)))


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed, in the runtime that the instance has."""
    yield compose.runtime_expectation(host)
    yield from (compose if runtime.is_chosen(host) else native).expectations(host, site)
    yield from proxy.expectations(host, site)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """The server in its runtime, and what lies before it."""
    if runtime.is_chosen(host):
        yield from compose.resources(host, site)
    else:
        yield from prefect.resources(host, site)
        yield from postgres.resources(host, site)
        yield from native.resources(host, site)
    yield from firewall.resources(host, site)
    yield from proxy.resources(host, site)
    yield from pools.resources(host, site)


def proof(host: SiteHost, site: Site) -> Resource:
    """A flow run from a server's own host, or from its container."""
    return compose.proof(host, site) if runtime.is_chosen(host) else native.proof(host, site)
