"""The doctors of a host: one for each server and worker instance on it. Clients: ``encamp.commands.doctor``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import Item, Step
from encamp.resources.base import Resource
from encamp.shared.wire import kind_path
from encamp.site import Site, SiteHost
from roles.backup import jobs as backup_jobs
from roles.backup.settings import HOURS
from roles.database import host as database_host
from roles.database import settings as database
from roles.doctor.kinds.backups import BackupDoctor
from roles.doctor.kinds.server.doctor import ServerDoctor
from roles.doctor.kinds.worker import WorkerDoctor
from roles.network import firewall
from roles.prefect import server_choice
from roles.prefect.account import layout_of
from roles.prefect.groups import is_server
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version
from roles.server import role as prefect_server
from roles.server.kinds.health import ServerHealth
from roles.worker import role as prefect_worker


def of_host(host: SiteHost, site: Site, started: float, fix: bool) -> Iterator[Resource]:
    """Doctors of the host's servers, then of its workers. ``started`` is this machine's clock. Raises SettingsError."""
    for view in host.instances:
        if is_server(view):
            yield from _of_server(view, prefect_server.resources(view, site), started, fix)
    for view in host.instances:
        if prefect_worker.is_declared(view):
            yield _of_worker(view, site, fix)
    yield from _of_backups(host, site)


def is_examined(host: SiteHost, site: Site) -> bool:
    """Whether the doctor examines anything on a host as root: a server, a worker, or backups."""
    runs = any(is_server(view) or prefect_worker.is_declared(view) for view in host.instances)
    return runs or any(True for _ in _of_backups(host, site))


def _of_backups(host: SiteHost, site: Site) -> Iterator[Resource]:
    """The doctors of the backups that a timer takes on a host."""
    for job in backup_jobs.on_host(host, site):
        if job.settings.every != "never":
            yield BackupDoctor(
                job.name,
                job.python,
                job.config,
                job.unit("backup").rpartition(".")[0],
                "" if job.settings.rehearse == "never" else job.unit("rehearsal").rpartition(".")[0],
                hours=HOURS[job.settings.every],
                rehearsal_hours=HOURS[job.settings.rehearse],
                server=host.name,
            )


def _of_server(host: SiteHost, items: Iterator[Item], started: float, fix: bool) -> Iterator[Resource]:
    """The doctor of what a deploy checks: in every runtime a server has one ServerHealth."""
    layout = layout_of(host)
    for resource in resources_of(items):
        if isinstance(resource, ServerHealth):
            yield ServerDoctor(
                host.instance,
                resource.unit,
                health=fields_of(resource),
                env_file=layout.server_env,
                link=layout.link,
                user=layout.user,
                home=layout.home,
                server=host.name,
                started=started,
                sources=firewall.limit(host),
                openings=_openings(host),
                cluster="" if resource.container or not database.on_this_host(host) else database_host.cluster(host),
                fix=fix,
            )


def _openings(host: SiteHost) -> tuple[Any, ...]:
    """The ports that a deploy opens in the host's own firewall."""
    opened = host.settings(firewall.Settings).firewall
    return tuple(travelling(opening) for opening in firewall.openings(host)) if opened else ()


def _of_worker(host: SiteHost, site: Site, fix: bool) -> Resource:
    layout = Layout(host.instance)
    try:
        server = server_choice.server_for(host, site)
        url, name = prefect_worker.api_url(host, server), server.name
    except SettingsError:
        url, name = "", "SERVER"
    version = prefect_version(host)
    return WorkerDoctor(host.instance, layout.worker_env, url, version, layout.worker_home, name, fix)


def resources_of(items: Iterator[Item]) -> Iterator[Resource]:
    """The resources among the items of a role."""
    for item in items:
        resource = item.resource if isinstance(item, Step) else item
        if isinstance(resource, Resource):
            yield resource


def fields_of(resource: Resource) -> dict[str, Any]:
    """A resource's fields, to be built again on the host."""
    return {field.name: getattr(resource, field.name) for field in dataclasses.fields(resource)}  # type: ignore[arg-type]


def travelling(resource: Resource) -> dict[str, Any]:
    """A resource as part of another: the host builds it where it is read."""
    return {"kind": kind_path(type(resource)), "fields": fields_of(resource)}
