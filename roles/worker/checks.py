"""What a host's workers and agents must not be: found from the files, before any host is touched."""

from __future__ import annotations

from encamp.errors import SettingsError
from encamp.site import Site, SiteHost
from roles.network import access
from roles.prefect import versions
from roles.prefect.release import prefect_version
from roles.prefect.server_choice import server_for
from roles.worker import pools as work_pools
from roles.worker.settings import Settings, Worker
from roles.worker.units import units


def refuse(host: SiteHost, server: SiteHost, site: Site) -> None:
    """Raises SettingsError for workers of ``host`` that its ``server``, or another instance, cannot have."""
    _refuse_release(host, server, access.auth(server, site) is not None)
    _refuse_contradiction(host, server)
    _refuse_shared_names(host, site)


def _refuse_release(host: SiteHost, server: SiteHost, auth: bool) -> None:
    """Raises SettingsError for a release that cannot work with the server's."""
    own, other = (prefect_version(view) for view in (host, server))
    symptom = versions.refused(own, other, auth)
    if symptom:
        raise SettingsError(
            f"{host.name}: Prefect {own} is incompatible with {server.name}, which runs {other}: {symptom}",
            f"set prefect_version: '{other}' for {host.name} as well, or deploy a later release on {server.name}",
            host.origin("prefect_version") or server.origin("prefect_version"),
        )


def _refuse_contradiction(host: SiteHost, server: SiteHost) -> None:
    """Raises SettingsError where the server declares a worker's pool otherwise."""
    declared = server.settings(work_pools.Settings).work_pools
    for unit in units(host):
        pool = declared.get(unit.spec.pool)
        if pool is None or not isinstance(unit.spec, Worker):
            continue
        if pool.type != unit.spec.type:
            reason = f"{host.name}: a {unit.spec.type} worker cannot poll {unit.spec.pool}, a pool of type {pool.type}"
            raise SettingsError(reason, "use the same type in both places", host.origin("workers"))
        if host.settings(Settings).work_pool_concurrency:
            reason = f"{host.name}: work_pool_concurrency: {unit.spec.pool} is declared in work_pools of {server.name}"
            fix = "set concurrency_limit: there, and remove work_pool_concurrency"
            raise SettingsError(reason, fix, host.origin("work_pool_concurrency"))


def _refuse_shared_names(host: SiteHost, site: Site) -> None:
    """Raises SettingsError where this instance and another one of the host make one unit, or one worker to a server."""
    names = _names(host, site)
    for view in host.instances:
        shared = names & _names(view, site) if view.instance != host.instance else set()
        if shared:
            reason = f"{host.name}: instances {host.instance} and {view.instance} both define {min(shared)}"
            where = host.origin("workers") or host.origin("work_pool") or host.origin("agents")
            where = where or host.origin("instances")
            raise SettingsError(
                reason, "set a name: for the worker of one of them that is not the name of an instance", where
            )


def _names(host: SiteHost, site: Site) -> set[str]:
    """The units of an instance, and its workers as their server lists them."""
    found = units(host)
    workers = [unit for unit in found if isinstance(unit.spec, Worker)]
    server = server_for(host, site) if workers else host
    listed = f"of {server.name} ({server.instance})"
    return {unit.name for unit in found} | {
        f"the worker {unit.own_name} in the pool {unit.spec.pool} {listed}" for unit in workers
    }
