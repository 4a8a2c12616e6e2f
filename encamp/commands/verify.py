"""``fab verify``: a throw-away flow run from each client and on each worker, read back through the hosted API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from encamp.cli.options import Options
from encamp.commands import configure_client
from encamp.commands.from_here import verified_at_home
from encamp.commands.load_site import load_site
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.output.terminal import report
from encamp.planning.rollout import Mode
from encamp.resources.base import Resource
from encamp.site import Site, SiteHost
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.prefect.groups import CLIENTS, SERVERS, WORKERS, is_server
from roles.proof.kinds.flow_run import VerificationRun
from roles.server import role as prefect_server
from roles.worker import role as prefect_worker

Proofs = Mapping[str, Sequence[Resource]]


def verify(options: Options, server: str = "") -> int:
    """Verify every selected host, or all clients and workers; without any, the servers. Returns the exit code.

    Raises EncampError.
    """
    groups = (SERVERS, WORKERS, CLIENTS)
    with reporting(options, "verify") as reports:
        site, selected = load_site(options, groups, missing="refuse")
        as_root, as_user = proofs(site, selected, options, server)
        connector = connect(options, site, list({**as_root, **as_user}), reports)
        # One after the other: a host that is worker and client takes part in both, as root and as its user.
        outcomes = []
        for wanted, become in ((as_root, None), (as_user, False)):
            mode, prepared = Mode(forks=options.forks), single_stage("verify", wanted)
            outcomes.append(run_hosts("verify", mode, connector.with_become(become), prepared, reports))
        verified = {outcome.host for outcome in outcomes[0] if outcome.status == "ok"}
        hosts = [host for host in selected if host.name in verified]
        seen = verified_at_home(site, hosts, _addresses(as_user), options.instance)
        code = reports.end(otherwise=seen.exit_code)
    for line in left_out(selected, as_root, as_user):
        report(f"  not proven: {line}")
    seen.report()
    return code


def _addresses(proofs: Proofs) -> set[str]:
    """The API's addresses that clients verify."""
    return {
        resource.api_url for found in proofs.values() for resource in found if isinstance(resource, VerificationRun)
    }


def left_out(selected: Sequence[SiteHost], as_root: Proofs, as_user: Proofs) -> Iterator[str]:
    """What hosts without a flow run, and flow runs of clients alone, do not show: a line each."""
    local = [
        host.name
        for host in selected
        if host.in_group(CLIENTS) and host.name not in as_user and host.name not in as_root
    ]
    if local:
        yield f"{', '.join(local)}: with client_mode: local no flow run reaches a server"
    if as_user and not as_root:
        yield "schedules, events and automations: `fab -H SERVER verify` shows them, flow runs of clients do not"


def proofs(site: Site, selected: list[SiteHost], options: Options, server: str) -> tuple[Proofs, Proofs]:
    """The hosts that start a flow run, first as root (workers, servers), then as the login user (clients).

    Servers start one only where there is neither client nor worker, or where ``-H`` names them. Raises UsageError where
    no host is left to start one.
    """
    clients = {host.name: _of_client(host, site, options, server) for host in selected if _is_client(host, server)}
    workers = {
        host.name: [
            resource
            for view in host.instances
            if prefect_worker.is_declared(view)
            for resource in prefect_worker.verifications(view, site)
        ]
        for host in selected
        if any(prefect_worker.is_declared(view) for view in host.instances)
    }
    if options.hosts or not (clients or workers):
        others = [host for host in selected if host.name not in clients and host.name not in workers]
        servers = {
            host.name: [prefect_server.verification(view, site) for view in host.instances]
            for host in filter(is_server, others)
        }
        if not (clients or workers or servers):
            names = ", ".join(host.name for host in selected)
            raise UsageError(f"{names}: no server, worker or client among them", "name one")
        return {**workers, **servers}, clients
    return workers, {name: found for name, found in clients.items() if found}


def _of_client(host: SiteHost, site: Site, options: Options, server: str) -> Sequence[Resource]:
    """A flow run for each profile of a client; none in the mode local, unless ``-H`` names it.

    Raises UsageError where nothing could be read back.
    """
    if prefect_client.mode_of(host) == "local":
        if options.hosts:
            raise UsageError(
                f"{host.name} has client_mode: local; its flow runs never reach a server, so they cannot be verified",
                "leave it out, or set client_mode: hosted and run configure-client",
            )
        return []
    specs = configure_client.profile_specs(host, site, options, configure_client.ClientOptions(server=server))
    if any(spec.api is None for spec in specs):
        raise UsageError(
            f"{host.name}: no server of this site uses its database, so a flow run could not be read back",
            "leave it out, or add the server to the inventory",
        )
    return client_modes.verifications(host, specs)


def _is_client(host: SiteHost, server: str) -> bool:
    """A member of clients; and a host that the site does not list, where another one is named as the server."""
    if host.in_group(CLIENTS):
        return not host.in_group(SERVERS)
    return host.inventory.adhoc and server not in ("", host.name)
