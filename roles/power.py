"""Stopping, starting and restarting what the site declares: servers and workers, in the order of dependence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from encamp.planning.plan import Item, Step
from encamp.resources.base import Resource
from encamp.resources.systemd.power import UnitRestarted, UnitStarted, UnitStopped
from encamp.resources.systemd.probe import SystemdProbe
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.prefect import unit_words
from roles.prefect.account import layout_of
from roles.prefect.groups import is_server
from roles.server import door
from roles.server import role as server
from roles.server.kinds.health import ServerHealth
from roles.worker import role as worker
from roles.worker.kinds.drain import WorkerDrain
from roles.worker.kinds.online import WorkerOnline
from roles.worker.kinds.power import WorkerDrained, WorkerRestarted, WorkerStopped, WorkerUndrained

#: What runs first: a worker needs its server.
SERVERS, WORKERS = "server", "worker"


@record
class Choice:
    """Which units are meant: patterns of short names (none: all), an instance ("": all). ``by``: who asks."""

    only: tuple[str, ...] = ()
    instance: str = ""
    by: str = ""

    def views(self, host: SiteHost) -> Iterator[SiteHost]:
        """The instances of a host that are meant."""
        return (view for view in host.instances if self.instance in ("", view.instance))


def server_units(host: SiteHost, choice: Choice) -> list[str]:
    """The units of a host's servers that are meant."""
    units = [layout_of(view).server_unit for view in choice.views(host) if is_server(view)]
    return [unit for unit in units if unit_words.is_wanted(unit, choice.only)]


def worker_units(host: SiteHost, site: Site, choice: Choice) -> list[str]:
    """The units of a host's workers and agents that are meant. Raises SettingsError."""
    return list(dict.fromkeys(drain.unit for drain, _ in _workers(host, site, choice)))


def stop(host: SiteHost, site: Site, stages: Sequence[str], choice: Choice) -> Iterator[Item]:
    """Workers let their flow runs end, then servers stop."""
    if WORKERS in stages:
        for drain, _ in _workers(host, site, choice):
            yield WorkerStopped(drain.unit, choice.by, drain.api_url, drain.auth, drain.ca_file, drain.timeout)
    if SERVERS in stages:
        for unit in server_units(host, choice):
            yield UnitStopped(unit, choice.by)


def start(host: SiteHost, site: Site, stages: Sequence[str], choice: Choice) -> Iterator[Item]:
    """Servers until they are healthy, then workers until they stay up and their server sees them.

    A server that is shut for maintenance would not start: that is refused before anything is started.
    """
    yield from _upwards(host, site, stages, choice, UnitStarted, UnitStarted)


def restart(host: SiteHost, site: Site, stages: Sequence[str], choice: Choice) -> Iterator[Item]:
    """The same with a restart; workers let their flow runs end first."""
    yield from _upwards(host, site, stages, choice, UnitRestarted, WorkerRestarted)


def drain(host: SiteHost, site: Site, stages: Sequence[str], choice: Choice) -> Iterator[Item]:
    """Workers let their flow runs end, and take no more."""
    for found, _ in _workers(host, site, choice):
        yield WorkerDrained(found.unit, choice.by, found.api_url, found.auth, found.ca_file, found.timeout)


def undrain(host: SiteHost, site: Site, stages: Sequence[str], choice: Choice) -> Iterator[Item]:
    """Workers work again, and their server sees them."""
    workers = _workers(host, site, choice)
    for found, _ in workers:
        yield WorkerUndrained(found.unit)
    for _, proofs in workers:
        yield from proofs


def _upwards(
    host: SiteHost,
    site: Site,
    stages: Sequence[str],
    choice: Choice,
    of_server: Callable[[str], Resource],
    of_worker: Callable[[str], Resource],
) -> Iterator[Item]:
    if SERVERS in stages:
        views = [view for view in choice.views(host) if is_server(view)]
        servers = [view for view in views if unit_words.is_wanted(layout_of(view).server_unit, choice.only)]
        for view in servers:
            yield from door.expectations(layout_of(view))
        for view in servers:
            unit = layout_of(view).server_unit
            yield of_server(unit)
            yield from (found for found in _resources(server.resources(view, site)) if _proves(found, unit))
    if WORKERS in stages:
        found = _workers(host, site, choice)
        for drain, _ in found:
            yield of_worker(drain.unit)
        for drain, proofs in found:
            yield drain
            yield from proofs


def _proves(resource: Resource, unit: str) -> bool:
    """Whether a resource of a deploy proves that a server's unit is well."""
    return isinstance(resource, (ServerHealth, SystemdProbe)) and resource.unit == unit


def _workers(host: SiteHost, site: Site, choice: Choice) -> list[tuple[WorkerDrain, list[Resource]]]:
    """What a deploy waits for of each worker's unit: that it has drained; that it stays up, and is online."""
    found: list[tuple[WorkerDrain, list[Resource]]] = []
    for view in choice.views(host):
        resources = list(_resources(worker.resources(view, site))) if worker.is_declared(view) else []
        for drain in resources:
            if isinstance(drain, WorkerDrain) and unit_words.is_wanted(drain.unit, choice.only):
                proofs = [each for each in resources if isinstance(each, (SystemdProbe, WorkerOnline))]
                found.append((drain, [each for each in proofs if each.unit == drain.unit]))
    return found


def _resources(items: Iterator[Item]) -> Iterator[Resource]:
    for item in items:
        resource = item.resource if isinstance(item, Step) else item
        if isinstance(resource, Resource):
            yield resource
