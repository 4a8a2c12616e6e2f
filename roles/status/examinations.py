"""What ``fab status`` runs on a host: its servers, its workers, its last deploy; and what a deploy would change."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.cloud.step import ControllerResource
from encamp.errors import EncampError
from encamp.planning.plan import Flush, Item, Step
from encamp.resources.base import Resource
from encamp.site import Site, SiteHost
from roles import stages
from roles.client import role as client
from roles.database import host as database_host
from roles.doctor import examinations as doctor
from roles.doctor.kinds.backups import BackupDoctor
from roles.doctor.kinds.server.doctor import ServerDoctor
from roles.doctor.kinds.worker import WorkerDoctor
from roles.network import address, trust
from roles.prefect.groups import CLIENTS
from roles.prefect.release import prefect_version
from roles.prefect.server_choice import server_for
from roles.status.kinds.host import HostStatus
from roles.status.kinds.server import ServerStatus
from roles.status.kinds.worker import WorkerStatus
from roles.worker import pools


def of_host(host: SiteHost, site: Site, started: float) -> Iterator[Resource]:
    """What examines a host. ``started`` is this machine's clock. Raises SettingsError."""
    views = {view.instance: view for view in host.instances}
    for found in doctor.of_host(host, site, started, fix=False):
        if isinstance(found, ServerDoctor):
            yield _of_server(found, views[found.name], site)
        elif isinstance(found, WorkerDoctor):
            yield WorkerStatus(**doctor.fields_of(found))
        elif isinstance(found, BackupDoctor):
            yield found
    yield HostStatus(cluster=database_host.cluster(host) if database_host.is_declared(host) else "")


def _of_server(found: ServerDoctor, view: SiteHost, site: Site) -> ServerStatus:
    return ServerStatus(
        **doctor.fields_of(found),
        proxied=view.settings(address.Settings).tls != "off",
        roots=trust.roots(view, view, site),
        clients=tuple(_clients(view, site)),
        paused=tuple(name for name, pool in view.settings(pools.Settings).work_pools.items() if pool.paused),
    )


def _clients(server: SiteHost, site: Site) -> Iterator[tuple[str, str]]:
    """Name and declared release of each client that uses a server's API."""
    for host in site.in_group(CLIENTS):
        try:
            used = server_for(host, site)
            hosted = client.mode_of(host) == "hosted"
            if hosted and (used.name, used.instance) == (server.name, server.instance):
                yield host.name, prefect_version(host)
        except EncampError:  # another host's faults are told elsewhere
            continue


def drift(host: SiteHost, site: Site) -> Iterator[Item]:
    """What a deploy would bring this host to, for a look at what differs: no expectations, probes and verifications.

    Raises EncampError where a deploy cannot be planned.
    """
    for item in stages.items(host, site, stages.taking_part(host), prove=False):
        if isinstance(item, Flush):
            yield item
            continue
        step = item if isinstance(item, Step) else Step(item)
        if step.resource.changes_host and not isinstance(step.resource, ControllerResource):
            yield step
