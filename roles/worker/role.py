"""Workers and agents. They run whatever code the API hands them, so none is made unless declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.base import HandlerResource, Resource
from encamp.resources.files.file import File
from encamp.resources.proxy import LOOPBACK, Proxy
from encamp.resources.python.release_link import ReleaseLink
from encamp.resources.systemd.probe import SystemdProbe
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.network import access, address, trust
from roles.prefect import role as prefect
from roles.prefect import versions
from roles.prefect.groups import WORKERS
from roles.prefect.layout import UV_CACHE, UV_ROOT, Layout
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import prefect_version, release_of
from roles.prefect.sandbox import has_namespaces
from roles.prefect.server_choice import server_for
from roles.proof.kinds.flow_run import VerificationRun
from roles.role import Role
from roles.worker import checks as worker_checks
from roles.worker import git_access, on_host, proofs, sandbox
from roles.worker import pools as work_pools
from roles.worker.kinds.drain import WorkerDrain
from roles.worker.kinds.online import WorkerOnline
from roles.worker.kinds.overlay import EnvironmentOverlay
from roles.worker.kinds.pool import WorkPool
from roles.worker.kinds.queue import WorkQueue
from roles.worker.kinds.service import WorkerService
from roles.worker.kinds.stale import StaleWorkers
from roles.worker.settings import AGENTS, Agent, Settings, Worker
from roles.worker.units import DRAINING, Unit, command, environment_of, is_declared, pip_environment_of, units

__all__ = ["Settings", "expectations", "is_declared", "resources", "server_for", "verification", "verifications"]


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """A worker needs what every host needs, and a release that the server accepts."""
    server = server_for(host, site)
    worker_checks.refuse(host, server, site)
    yield from access.worker_expectations(host, server, site)
    yield from prefect.expectations(host)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """User, environments, settings, units and services of workers and agents; their pools, through the API."""
    layout, found = Layout(host.instance), units(host)
    api = _api_fields(host, site)
    yield from on_host.resources(host, layout, found)
    for item in trust.resources(server_for(host, site), host, site):
        yield Step(item, _restarts(found))  # a process reads the authorities it trusts when it starts
    yield from _installed(host, site, layout, found)
    yield from _environments(host, site, layout, found)
    yield from _pools(host, server_for(host, site), found, api)
    for unit in found:
        yield Step(SystemdUnit(unit.name, _unit_file(host, site, layout, unit)), (unit.restart,))
        yield WorkerService(unit.name)
    yield _stale_workers(layout, found, api)
    yield FLUSH
    for unit in found:
        killed = host.settings(Settings).worker_killed_runs
        yield WorkerDrain(unit.name, timeout=_stop_timeout(host, unit), killed_runs=killed, **api)
    for unit in found:
        yield SystemdProbe(unit.name)
        yield from on_host.access(unit)
        if isinstance(unit.spec, Worker):
            key = f"{layout.prefix}{unit.spec.pool}/{unit.own_name}"
            yield WorkerOnline(key, pool=unit.spec.pool, worker=unit.own_name, unit=unit.name, **api)


def verification(host: SiteHost, site: Site) -> Resource:
    """A flow run that one of this host's workers takes from its pool, or agent from its queue, and completes."""
    found = units(host)
    first = max(found, key=lambda unit: (unit.is_process, unit.spec.pip), default=None)  # what it runs shows most
    return _verification(host, site, first, tuple(proofs.not_tried(host, first, found)) if first else ())


def verifications(host: SiteHost, site: Site) -> list[Resource]:
    """The same for each worker and agent that is declared."""
    entries: dict[tuple[str, str], Unit | None] = {}
    for unit in units(host):
        entries.setdefault((unit.kind, unit.label), unit)
    return [_verification(host, site, entry) for entry in entries.values() or [None]]


def _verification(host: SiteHost, site: Site, unit: Unit | None, unproven: Sequence[str] = ()) -> Resource:
    """That of one unit, or of the server's API where a host has none."""
    layout, server = Layout(host.instance), server_for(host, site)
    common: dict[str, Any] = {
        "python": f"{layout.link}/bin/python",
        "through": "environment",
        "services": True,
        "server_unit": Layout(server.instance).server_unit if server.name == host.name else "",
        **_api_fields(host, site),
    }
    if unit is None:
        name = f"server {server.name} {server.instance}"
        return VerificationRun(name, as_user=layout.worker_user, workdir=layout.worker_home, **common)
    return VerificationRun(
        f"{unit.kind} {layout.name} {unit.label}",
        work_pool=unit.spec.pool,
        queue=unit.spec.queues[0] if unit.spec.queues else "",
        workers=tuple(one.own_name for one in units(host) if one.label == unit.label and one.kind == unit.kind),
        unit=unit.name,
        clone=proofs.clones(host, unit),
        requirements=proofs.installs_into(host, unit),
        unproven=(*unproven, *proofs.unproven(host, unit)),
        as_user=unit.user,
        workdir=unit.home,
        **common,
    )


def worker_settings(host: SiteHost, site: Site, layout: Layout, url: str) -> dict[str, str | Secret]:
    """Prefect settings of the workers, by their names in the host's release."""
    version, server = prefect_version(host), server_for(host, site)
    values: dict[str, str | Secret] = {"home": layout.worker_home, "api_url": url, "ephemeral": "false"}
    if url != address.api_url(server):
        values["ui_url"] = address.public_url(server)  # for the links that flows print
    clients = {**access.client_settings(server, site), **trust.client_settings(server, host, site)}
    return {**proxy_variables(host, server), **versions.environment({**values, **clients}, version)}


def api_url(host: SiteHost, server: SiteHost) -> str:
    """The API's address for a host's workers: over loopback on the server's own host, unless flow runs are elsewhere
    (containers, jobs), where loopback is another machine."""
    return (
        address.api_url_from(host, server) if all(unit.is_process for unit in units(host)) else address.api_url(server)
    )


def proxy_variables(host: SiteHost, server: SiteHost) -> dict[str, str | Secret]:
    """The site's proxy for programs that flows run. The server, this host and loopback are reached without it."""
    settings = host.settings(PrefectSettings)
    if not settings.proxy:
        return {}
    near = [host.name, host.client_address, server.name, server.client_address, address.public(server).host]
    url = settings.proxy if isinstance(settings.proxy, Secret) else Secret(settings.proxy)
    exceptions = dict.fromkeys([*settings.no_proxy, *filter(None, near), *LOOPBACK])
    return Proxy(url, tuple(exceptions), "proxy:").variables


def _api_fields(host: SiteHost, site: Site) -> dict[str, Any]:
    """How the host reaches the API: the fields that each of these kinds has for it."""
    server = server_for(host, site)
    ca_file = trust.ca_file(server, host, site)
    return {"api_url": api_url(host, server), "auth": access.auth(server, site), "ca_file": ca_file}


def _restarts(found: Sequence[Unit]) -> tuple[HandlerResource, ...]:
    return tuple(unit.restart for unit in found)


def _installed(host: SiteHost, site: Site, layout: Layout, found: Sequence[Unit]) -> Iterator[Item]:
    """The release for the instance; environments with further packages; and the program that lets flow runs finish.

    Workers name their environment's own path, so the link alone restarts none of them.
    """
    settings = host.settings(PrefectSettings)
    release = release_of(host)
    yield prefect.environment(settings, release, UV_ROOT, UV_CACHE)
    yield ReleaseLink(layout.link, release.path)
    for unit in found:
        yield Step(environment_of(host, unit), (unit.restart,))
        if unit.spec.packages:
            yield ReleaseLink(layout.runner_link(unit.kind, unit.label), unit.release.path)
        if unit.spec.pip:
            yield Step(pip_environment_of(host, unit), (unit.restart,))
            yield Step(EnvironmentOverlay(unit.environment_path, unit.release.path, unit.user), (unit.restart,))
    yield Step(File(DRAINING, site.templates.read("prefect_worker/draining.py")), _restarts(found))


def _environments(host: SiteHost, site: Site, layout: Layout, found: Sequence[Unit]) -> Iterator[Item]:
    """The settings file of all workers, and one for each that has its own variables."""
    url = api_url(host, server_for(host, site))
    env = site.templates.render("prefect_worker/worker.env.j2", settings=worker_settings(host, site, layout, url))
    group = layout.worker_user if on_host.has_account(found) else "root"
    yield Step(File(layout.worker_env, env, "root", group, 0o640), _restarts(found))
    for unit in found:
        if unit.env_file:
            own = site.templates.render("prefect_worker/worker.env.j2", settings=unit.variables)
            group = "root" if unit.spec.user else unit.user  # systemd reads it as root
            yield Step(File(unit.env_file, own, "root", group, 0o640), (unit.restart,))
        yield from git_access.files(host, unit.spec, layout, unit.kind, unit.label, unit.user)


def _pools(host: SiteHost, server: SiteHost, found: Sequence[Unit], api: dict[str, Any]) -> Iterator[Item]:
    """Pools and queues that the server does not declare. The short form sets its pool's limit, too."""
    declared = server.settings(work_pools.Settings).work_pools
    settings, prefix = host.settings(Settings), Layout(host.instance).prefix
    by_workers = {unit.spec.pool for unit in found if isinstance(unit.spec, Worker)}
    for unit in found:
        spec = unit.spec
        if isinstance(spec, Worker) and spec.pool not in declared:
            limit = settings.work_pool_concurrency or None
            yield WorkPool(
                spec.pool,
                type=spec.type,
                concurrency_limit=limit,
                exists_only=bool(settings.workers),
                prefix=prefix,
                **api,
            )
        elif spec.pool and spec.pool not in {*declared, *by_workers}:
            # An agent takes the flow runs of any pool, but ends where there is none (seen with 2.20.26).
            yield WorkPool(spec.pool, type=AGENTS, exists_only=True, any_type=True, prefix=prefix, **api)
        known = declared[spec.pool].queues if spec.pool in declared else {}
        for queue in spec.queues:
            if queue not in known and (spec.pool == "") == isinstance(spec, Agent):
                key = f"{prefix}{spec.pool or 'agents'}/{queue}"
                yield WorkQueue(key, name=queue, pool=spec.pool, exists_only=True, **api)


def _stale_workers(layout: Layout, found: Sequence[Unit], api: dict[str, Any]) -> StaleWorkers:
    return StaleWorkers(
        layout.name,
        layout.worker_env,
        keep=tuple(unit.name for unit in found),
        files=tuple(dict.fromkeys(path for unit in found for path in unit.files)),
        prefixes=layout.runner_prefixes,
        **api,
    )


def _stop_timeout(host: SiteHost, unit: Unit) -> int:
    return unit.spec.stop_timeout or host.settings(Settings).worker_stop_timeout


def _unit_file(host: SiteHost, site: Site, layout: Layout, unit: Unit) -> Any:
    server = server_for(host, site)
    return site.templates.render(
        "prefect_worker/prefect-worker.service.j2",
        layout=layout,
        unit=unit,
        user=unit.user,
        home=unit.home,
        path=unit.path,
        command=command(host, unit),
        own_env=unit.env_file,
        sandbox=tuple(sandbox.directives(unit.spec, on_host.homes(unit), has_namespaces(host))),
        mounts=sandbox.opened(unit.spec).all,
        stop_timeout=_stop_timeout(host, unit),
        server_unit=Layout(server.instance).server_unit if server.name == host.name else "",
    )


def stage(host: SiteHost, site: Site) -> Iterator[Item]:
    """What every host needs, then the workers."""
    yield from prefect.resources(host, site)
    yield from resources(host, site)


def undeploy(host: SiteHost, instance: str) -> Iterator[Item]:
    """Workers and agents, after their flow runs have ended."""
    layout = Layout(instance)
    yield StaleWorkers(layout.name, layout.worker_env, prefixes=(*layout.runner_prefixes, layout.pip_prefix))


ROLE = Role(
    "worker",
    WORKERS,
    settings=(Settings,),
    applies_to=is_declared,
    expectations=expectations,
    resources=stage,
    verification=verification,
    undeploy=undeploy,
)
