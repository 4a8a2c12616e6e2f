"""``fab doctor``: which API everyone really uses, what set it, and the first thing that is wrong on the way there."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from encamp.cli.options import Options
from encamp.commands import configure_client
from encamp.commands.configure_client import ClientOptions
from encamp.commands.load_site import load_site, load_this_machine
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import run_hosts, single_stage
from encamp.errors import EncampError, NoHosts, UsageError
from encamp.inventory import location
from encamp.output import terminal
from encamp.output.diagnosis import DoctorReport
from encamp.planning.rollout import Mode
from encamp.resources.base import Resource
from encamp.running.connectors import Connector, LocalConnector, SshConnector
from encamp.shared.record import record, replace
from encamp.site import Site, SiteHost
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.client.kinds.api import ClientApi
from roles.client.kinds.ca import ClientCa
from roles.client.kinds.profile.prefect_profile import PrefectProfile
from roles.doctor import examinations as doctor
from roles.doctor.kinds.client.doctor import ClientDoctor
from roles.network import address
from roles.prefect.groups import CLIENTS, DATABASES, SERVERS, WORKERS
from roles.prefect.kinds.known_failures.lookup import explain_client

GROUPS = (SERVERS, WORKERS, CLIENTS)
UNHEALTHY = 2
Doctors = Mapping[str, Sequence[Resource]]


@record
class TargetGroup:
    """Hosts that are reached in the same way, and what examines each."""

    doctors: Doctors
    connector: Connector


def run(options: Options, projects: Sequence[str] = (), server: str = "", fix: bool = False) -> int:
    """Examine the selected hosts; without any, this machine and the whole site. Returns the exit code.

    Without ``fix`` nothing is written on any host: the agent runs in check mode. Raises EncampError.
    """
    diagnosis = DoctorReport(sys.stdout)
    with reporting(options, "doctor", console=diagnosis, check=not fix, record=fix) as reports:
        groups = [group for group in target_groups(options, tuple(projects), server, fix) if group.doctors]
        reports.start(
            ",".join(location.locate(options.inventory, options.home)),
            [name for group in groups for name in group.doctors],
        )
        for group in groups:
            mode = Mode(check=not fix, forks=options.forks)
            run_hosts("doctor", mode, group.connector, single_stage("doctor", group.doctors), reports)
        return reports.end(otherwise=UNHEALTHY if diagnosis.unhealthy else 0)


def target_groups(options: Options, projects: tuple[str, ...], server: str, fix: bool) -> list[TargetGroup]:
    """This machine (where no host is named), then servers and workers as root, then clients as their users."""
    found = [] if options.hosts else [_this_machine(options, projects, server, fix)]
    try:
        site, selected = load_site(options, (*GROUPS, DATABASES))
    except NoHosts:
        if options.hosts or options.limit:
            raise
        return found  # a site without hosts: this machine is all there is
    if not options.hosts:  # a database's host has only backups to examine
        selected = [host for host in selected if any(map(host.in_group, GROUPS)) or doctor.is_examined(host, site)]
    if server and selected:
        configure_client.server_of(selected[0], site, server)  # raises for an unknown server
    # A fix must not write a secret that is not stored: clients are planned with a stricter reading.
    strict = Site(site.inventory, [host.inventory for host in selected], "refuse", templates=site.templates)
    started = time.time()
    servers = {
        host.name: list(doctor.of_host(host, site, started, fix)) for host in selected if doctor.is_examined(host, site)
    }
    clients = {
        host.name: [of_client(strict.host(host.name), strict, options, projects, server, fix)]
        for host in selected
        if host.name not in servers or host.in_group(CLIENTS)
    }
    connector = SshConnector(site, options.config, hosts=[host.name for host in selected])
    return [*found, TargetGroup(servers, connector), TargetGroup(clients, connector.with_become(False))]


def _this_machine(options: Options, projects: tuple[str, ...], server: str, fix: bool) -> TargetGroup:
    site, this = load_this_machine(options, CLIENTS)
    return TargetGroup(
        {this.name: [of_client(this, site, options, projects, server, fix, local=True)]}, LocalConnector()
    )


def of_client(
    host: SiteHost,
    site: Site,
    options: Options,
    projects: tuple[str, ...] = (),
    server: str = "",
    fix: bool = False,
    local: bool = False,
) -> Resource:
    """The doctor of a client: what `fab configure-client` would make of it is what it is measured by."""
    known = [address.api_url(view) for one in site.in_group(SERVERS) for view in one.instances]
    mode = prefect_client.mode_of(host)
    projects = tuple(str(Path(folder).resolve()) for folder in projects) if local else projects
    examined = ClientDoctor("client", others=tuple(known), mode=mode, projects=projects, local=local, fix=fix)
    try:
        client = ClientOptions(server=server)
        specs = [] if mode == "local" else configure_client.profile_specs(host, site, options, client)
        wanted = list(doctor.resources_of(iter(configure_client.items(host, site, options, client))))
    except EncampError:
        if server:
            raise
        return examined  # no server, several, or a secret that is not here: no one API is the right one
    apis = [item for item in wanted if isinstance(item, ClientApi)]
    profile = specs[0].profile if specs else ""
    profiles = [item for item in wanted if isinstance(item, PrefectProfile) and item.name == profile]
    declared = [*(item for item in wanted if fix and isinstance(item, ClientCa)), *profiles]
    return replace(
        examined,
        api_url=apis[0].url if apis else "",
        ca_file=client_modes.ca_path(specs[0]) if apis and apis[0].ca_file else "",
        profile=profile,
        declared=tuple(doctor.travelling(item) for item in declared),
        server=server or _server_name(host, site),
    )


def _server_name(host: SiteHost, site: Site) -> str:
    """The server's name for texts."""
    try:
        return configure_client.server_of(host, site).name
    except EncampError:
        return "SERVER"


def symptom(source: str) -> int:
    """Explain an error text: a file, or ``-`` for standard input. Returns 0 where it is known, else 2.

    Raises UsageError for a file that cannot be read.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"--symptom {source}: {error.strerror}", "name a file, or - for standard input") from None
    known = explain_client(text)
    if known is None:
        terminal.report("encamp does not know this message; `fab doctor` examines the machine itself")
        return UNHEALTHY
    terminal.report(f"cause: {known.cause}\nfix:   {known.fix}")
    return 0
