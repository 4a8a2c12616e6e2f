"""The Prefect server, however it is run: on the host or in containers, with its database, firewall, proxy and pools."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.planning.plan import Item, Step
from encamp.resources.base import Resource
from encamp.resources.caddy import paths as caddy
from encamp.resources.files.absent import Absent
from encamp.resources.firewall.port import FirewallPort
from encamp.resources.systemd.restart import Reload
from encamp.site import Site, SiteHost
from roles.adopt import takeover
from roles.adopt.kinds.adoption_kept import AdoptionKept
from roles.backup import deployed as backups
from roles.database import settings as database
from roles.network import access, address, cloud, cloud_settings, firewall, proxy, tls
from roles.postgres import role as postgres
from roles.prefect import account, runtime
from roles.prefect import role as prefect
from roles.prefect.groups import SERVERS, is_server
from roles.prefect.layout import Layout
from roles.role import Role
from roles.server import compose, door, native, retention, secrets
from roles.server.kinds.instance_units import InstanceUnitsAbsent
from roles.server.kinds.stack.absent import StackAbsent
from roles.server.settings import Settings
from roles.worker import pools

#: Any will do: a rule to remove is found by its name.
SOME_PORT = 4200


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed, in the runtime that the instance has."""
    takeover.check_settings(host)
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
    yield from backups.of_server(host, site)
    yield from firewall.resources(host, site)
    yield from proxy.resources(host, site)
    yield from pools.resources(host, site)
    yield from cloud.resources(host, site)
    yield from address.proposal(host)


def verification(host: SiteHost, site: Site) -> Resource:
    """A flow run from a server's own host, or from its container."""
    return compose.verification(host, site) if runtime.is_chosen(host) else native.verification(host, site)


def undeploy(host: SiteHost, instance: str) -> Iterator[Item]:
    """Units, stack, firewall rules and the site in the proxy, unless another instance is behind the same address."""
    layout = Layout(instance)
    stack = runtime.Stack(layout)
    yield AdoptionKept(layout.name, host.name)
    yield door.absent(layout)
    yield InstanceUnitsAbsent(layout.name, layout.server_unit, layout.config)
    yield from backups.undeploy(host, instance)
    yield StackAbsent(stack.program, (stack.server, stack.postgres))
    yield FirewallPort(f"prefect-{layout.name}", SOME_PORT, ensure="absent")
    yield FirewallPort(f"prefect-{layout.name}-http", SOME_PORT, ensure="absent")
    yield from cloud.undeploy(host, instance)
    if not tls.is_shared(host, instance):
        yield Step(Absent(caddy.site_path(layout.name)), (Reload(caddy.UNIT),))
        yield Absent(caddy.certificate_path(layout.name))


def warnings(host: SiteHost, site: Site) -> Iterator[str]:
    """Addresses that clients may not be able to use."""
    yield from address.warnings(host)


ROLE = Role(
    "server",
    SERVERS,
    settings=(
        *(
            address.Settings,
            tls.Settings,
            database.Settings,
            Settings,
            retention.Settings,
            runtime.Settings,
            account.Settings,
        ),
        *(access.Settings, firewall.Settings, cloud_settings.Settings, pools.Settings),
    ),
    owners="servers",
    applies_to=is_server,
    expectations=expectations,
    resources=resources,
    verification=verification,
    undeploy=undeploy,
    secrets=secrets.generated,
    warnings=warnings,
)
