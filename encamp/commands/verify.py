"""``fab verify``: a throw-away flow run from each client and on each worker, read back through the hosted API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from encamp.cli.options import Options, load_site, reporting
from encamp.commands import configure_client
from encamp.errors import UsageError
from encamp.planning import plan
from encamp.planning.schedule import Wave
from encamp.resources.base import Resource
from encamp.running.connectors import SshReach
from encamp.running.run import Mode, Run
from encamp.site import Site, SiteHost
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.prefect.groups import CLIENTS, SERVERS, WORKERS, is_server
from roles.server import role as prefect_server
from roles.worker import role as prefect_worker

STAGE: tuple[str, ...] = ("verify",)
Proofs = Mapping[str, Sequence[Resource]]


def verify(options: Options, server: str = "") -> int:
    """Prove every selected host, or all clients and workers; with neither, the servers. Returns the exit code.

    Raises EncampError.
    """
    groups = (SERVERS, WORKERS, CLIENTS)
    with reporting(options, "verify") as told:
        fleet, selected = load_site(options, groups, missing="refuse")
        as_root, as_user = proofs(fleet, selected, options, server)
        reach = SshReach(fleet, options.config, hosts={**as_root, **as_user})
        told.start(str(fleet.inventory.path), list({**as_root, **as_user}))
        reach.tell(told.warn)
        # One after the other: a host that is worker and client takes part in both, as root and as its user.
        for wanted, become in ((as_root, None), (as_user, False)):
            run = Run("verify", Mode(forks=options.forks), reach.becoming(become), [told])
            plans = {(name, STAGE): plan.build(name, proofs) for name, proofs in wanted.items()}
            run.converge([Wave("verify", dict.fromkeys(wanted, STAGE))] if wanted else [], plans)
        return told.end()


def proofs(fleet: Site, selected: list[SiteHost], options: Options, server: str) -> tuple[Proofs, Proofs]:
    """Who starts a flow run, first as root (workers, servers), then as the login's own user (clients).

    Servers start one only where there is neither client nor worker, or where ``-H`` names them. Raises UsageError where
    nobody is left to start one.
    """
    clients = {host.name: _of_client(host, fleet, options, server) for host in selected if _is_client(host, server)}
    workers = {
        host.name: [prefect_worker.proof(view, fleet) for view in host.instances if prefect_worker.is_declared(view)]
        for host in selected
        if any(prefect_worker.is_declared(view) for view in host.instances)
    }
    if options.hosts or not (clients or workers):
        others = [host for host in selected if host.name not in clients and host.name not in workers]
        servers = {
            host.name: [prefect_server.proof(view, fleet) for view in host.instances]
            for host in filter(is_server, others)
        }
        if not (clients or workers or servers):
            names = ", ".join(host.name for host in selected)
            raise UsageError(f"{names}: neither server nor worker nor client", "name one of those")
        return {**workers, **servers}, clients
    return workers, {name: found for name, found in clients.items() if found}


def _of_client(host: SiteHost, fleet: Site, options: Options, server: str) -> Sequence[Resource]:
    """A flow run for each profile of a client; none in the mode local, unless ``-H`` names it.

    Raises UsageError where nothing could be read back.
    """
    if prefect_client.mode_of(host) == "local":
        if options.hosts:
            raise UsageError(
                f"{host.name} is in the mode local: its flow runs stay there, nothing can be read back from a server",
                "leave it out, or set client_mode: hosted and configure it",
            )
        return []
    goals = configure_client.goals(host, fleet, options, configure_client.Wish(server=server))
    if any(goal.api is None for goal in goals):
        raise UsageError(
            f"{host.name}: its database has no server in this site, by which a flow run could be read back",
            "leave it out, or put the server into the inventory",
        )
    return client_modes.proofs(host, goals)


def _is_client(host: SiteHost, server: str) -> bool:
    """A member of clients; and a host that the site does not list, where another one is named as the server."""
    if host.in_group(CLIENTS):
        return not host.in_group(SERVERS)
    return host.inventory.adhoc and server not in ("", host.name)
