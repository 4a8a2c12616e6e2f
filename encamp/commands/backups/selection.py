"""The databases that a command about backups is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from encamp.cli.options import Options
from encamp.commands.load_site import load_site
from encamp.errors import UsageError
from encamp.planning.plan import Item
from encamp.resources.base import Resource
from encamp.site import Site, SiteHost
from roles.backup import deployed, jobs
from roles.backup.jobs import Job
from roles.prefect.groups import SERVERS, is_server

Items = dict[str, list[Item]]


def load(options: Options) -> tuple[Site, list[Job]]:
    """The site, and the databases of the selected servers (``-H``, or all), one job each.

    A host that keeps databases for others stands for these. Raises EncampError.
    """
    site, selected = load_site(options, (SERVERS,))
    found = list({(job.host.name, job.name): job for job in _jobs(options, site, selected)}.values())
    if not found:
        names = ", ".join(host.name for host in selected)
        raise UsageError(f"{names}: no server's database among them", "name a server, or the host of its database")
    return site, found


def _jobs(options: Options, site: Site, selected: Sequence[SiteHost]) -> Iterable[Job]:
    for host in selected:
        if not is_server(host):
            yield from jobs.on_host(host, site)
        else:
            yield from (jobs.job_of(view, site) for view in host.instances if options.instance in ("", view.instance))


def items(site: Site, found: Iterable[Job], wanted: Callable[[Job], Resource], program: bool) -> Items:
    """What each database's host has to do: ``wanted``, after the installation of the ``program`` where that may be
    missing."""
    by_host: Items = {}
    for job in found:
        of_host = by_host.setdefault(job.host.name, [])
        of_host += [*(deployed.program(job, site) if program else ()), wanted(job)]
    return by_host
