"""``fab verify``: a throw-away flow run from each client and on each worker, read back through the hosted API."""

from __future__ import annotations

from collections.abc import Mapping

from encamp import plan
from encamp.commands.configure_client import api_of
from encamp.commands.options import Options, finish, listeners, load_site
from encamp.reach import SshReach
from encamp.report import Outcome
from encamp.resources.base import Resource
from encamp.run import Mode, Run
from encamp.schedule import Wave
from encamp.site import Site, SiteHost
from roles import prefect_client, prefect_server, prefect_worker

STAGE: tuple[str, ...] = ("verify",)
Proofs = Mapping[str, Resource]


def verify(options: Options, server: str = "") -> int:
    """Prove every selected host, or all clients and workers; with neither, the servers. Returns the exit code.

    Raises EncampError.
    """
    groups = (prefect_server.GROUP, prefect_worker.GROUP, prefect_client.GROUP)
    fleet, selected = load_site(options, groups, missing="refuse")
    as_root, as_user = proofs(fleet, selected, server, named=bool(options.hosts))
    told = listeners(options)
    outcomes: list[Outcome] = []
    # One after the other: a host that is worker and client takes part in both, as root and as its user.
    for wanted, become in ((as_root, None), (as_user, False)):
        run = Run("verify", Mode(forks=options.forks), SshReach(fleet, options.config, become), told)
        plans = {(name, STAGE): plan.build(name, [proof]) for name, proof in wanted.items()}
        outcomes += run.converge([Wave("verify", dict.fromkeys(wanted, STAGE))] if wanted else [], plans)
        if any(outcome.status == "interrupted" for outcome in outcomes):
            break
    return finish(options, outcomes, told)


def proofs(fleet: Site, selected: list[SiteHost], server: str, named: bool) -> tuple[Proofs, Proofs]:
    """Who starts a flow run, first as root (workers, servers), then as the login's own user (clients).

    Servers start one only where there is neither client nor worker, or where ``-H`` names them (``named``).
    """
    clients = {
        host.name: prefect_client.proof(host, api_of(host, fleet, server), prefect_client.profile_name(host))
        for host in selected
        if _is_client(host, server)
    }
    workers = {host.name: prefect_worker.proof(host, fleet) for host in selected if prefect_worker.is_declared(host)}
    if named or not (clients or workers):
        others = (host for host in selected if host.name not in clients and host.name not in workers)
        return {**workers, **{host.name: prefect_server.proof(host, fleet) for host in others}}, clients
    return workers, clients


def _is_client(host: SiteHost, server: str) -> bool:
    """A member of clients; and a host that the site does not list, where another one is named as the server."""
    if host.in_group(prefect_client.GROUP):
        return not host.in_group(prefect_server.GROUP)
    return host.inventory.adhoc and server not in ("", host.name)
