"""A process worker on a work pool. A worker runs whatever code the API hands it, so none is made unless declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.plan import FLUSH, Item, Step
from encamp.resources.base import Resource
from encamp.resources.file import File
from encamp.resources.restart import Restart
from encamp.resources.service import Service
from encamp.resources.systemd_probe import SystemdProbe
from encamp.resources.systemd_unit import SystemdUnit
from encamp.settings import setting
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.templates import render
from roles import access, address, base, prefect_server, versions
from roles.kinds.flow_proof import FlowProof
from roles.kinds.work_pool import WorkPool
from roles.layout import Layout

GROUP = "workers"
DEFAULT_POOL = "default"


@dataclasses.dataclass(frozen=True)
class Settings:
    """A worker, and the server it works for."""

    work_pool: str = setting(
        "", "Work pool that a worker on this host polls. Hosts of the group workers poll `default` when it is empty."
    )
    work_pool_concurrency: int = setting(0, "Flow runs that the pool starts at once. 0: no limit.", minimum=0)
    worker_limit: int = setting(0, "Flow runs that this worker runs at once. 0: no limit.", minimum=0)
    worker_stop_timeout: int = setting(
        600, "Seconds that a worker gets to finish its flow runs when it is stopped or restarted.", minimum=1
    )
    server: str = setting(
        "",
        "Inventory name of the server to use, where the site has several. Of its instances the one with the same name "
        "is used, or its only one; vm1/personal names another.",
    )


def is_declared(host: SiteHost) -> bool:
    """Whether this host is to run a worker."""
    return host.in_group(GROUP) or bool(host.settings(Settings).work_pool)


def pool_of(host: SiteHost) -> str:
    return host.settings(Settings).work_pool or DEFAULT_POOL


def server_for(host: SiteHost, site: Site) -> SiteHost:
    """The server's instance that a worker or client uses. Raises SettingsError when it is not clear which."""
    named, _, instance = host.settings(Settings).server.partition("/")
    servers = [server for server in site.in_group(prefect_server.GROUP) if not named or server.name == named]
    if len(servers) == 1:
        return _instance(host, servers[0], instance)
    if host.adhoc and not host.in_group(GROUP):
        return host
    known = ", ".join(server.name for server in site.in_group(prefect_server.GROUP)) or "none"
    reason = f"there is no server {named}" if named else "it is not clear which server to use"
    raise SettingsError(
        f"{host.name}: {reason} (servers of this site: {known})",
        "set server: to one of them, or put one host into the group servers",
        host.origin("server"),
    )


def _instance(host: SiteHost, server: SiteHost, named: str) -> SiteHost:
    """The instance of ``server`` called ``named``, or else as ``host``'s own, or else the only one."""
    by_name = {view.instance: view for view in server.instances}
    if named in by_name or (not named and host.instance in by_name):
        return by_name[named or host.instance]
    if not named and len(by_name) == 1:
        return server
    raise SettingsError(
        f"{host.name}: {server.name} has no instance {named or host.instance} (it has {', '.join(by_name)})",
        f"set server: {server.name}/<one of them>",
        host.origin("server"),
    )


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """A worker needs what every host needs, and a release that the server lets in."""
    yield from access.worker_expectations(host, server_for(host, site), site)
    yield from base.expectations(host)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """User, environment, settings, unit and service of the worker; its pool, through the API."""
    layout, pool = Layout(host.instance), pool_of(host)
    server = server_for(host, site)
    url, auth = address.api_url(server), access.auth(server, site)
    restart = Restart(layout.worker_unit(pool))
    yield from base.account(layout, layout.worker_user, layout.worker_home, "Prefect worker")
    yield from prefect_server.install(host, layout, restart)
    env = render("prefect_worker/worker.env.j2", settings=worker_settings(host, site, layout, url))
    yield Step(File(layout.worker_env, env, "root", layout.worker_user, 0o640), (restart,))
    limit = host.settings(Settings).work_pool_concurrency or None
    yield WorkPool(pool, api_url=url, auth=auth, concurrency_limit=limit)
    yield Step(SystemdUnit(layout.worker_unit(pool), _unit(host, layout, pool)), (restart,))
    yield Service(layout.worker_unit(pool))
    yield FLUSH
    yield SystemdProbe(layout.worker_unit(pool))


def proof(host: SiteHost, site: Site) -> Resource:
    """A flow run that this host's worker takes from its pool and completes."""
    layout, server = Layout(host.instance), server_for(host, site)
    return FlowProof(
        f"worker {layout.name} {pool_of(host)}",
        python=f"{layout.link}/bin/python",
        api_url=address.api_url(server),
        auth=access.auth(server, site),
        as_user=layout.worker_user,
        work_pool=pool_of(host),
        worker=host.name,
        through="environment",
        unit=layout.worker_unit(pool_of(host)),
        workdir=layout.worker_home,
    )


def worker_settings(host: SiteHost, site: Site, layout: Layout, url: str) -> dict[str, str | Secret]:
    """Prefect settings of the worker, by their names in the host's release."""
    version = host.settings(base.Settings).prefect_version
    values: dict[str, str | Secret] = {"home": layout.worker_home, "api_url": url, "ephemeral": "false"}
    return versions.environment({**values, **access.client_settings(server_for(host, site), site)}, version)


def _unit(host: SiteHost, layout: Layout, pool: str) -> Any:
    settings = host.settings(Settings)
    command = [f"{layout.link}/bin/prefect", "worker", "start", "--pool", pool, "--type", "process"]
    command += ["--name", host.name]
    if settings.worker_limit:
        command += ["--limit", str(settings.worker_limit)]
    return render(
        "prefect_worker/prefect-worker.service.j2",
        layout=layout,
        pool=pool,
        command=command,
        stop_timeout=settings.worker_stop_timeout,
        server_unit=layout.server_unit if host.in_group(prefect_server.GROUP) else "",
    )
