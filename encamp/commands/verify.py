"""``fab verify``: a throw-away flow run from each client and on each worker, read back through the hosted API."""

from __future__ import annotations

from encamp import plan
from encamp.commands.configure_client import api_for
from encamp.commands.options import Options, finish, listeners, load_site
from encamp.plan import HostPlan
from encamp.reach import Reach, SshReach
from encamp.run import Mode, Run
from encamp.schedule import Wave
from encamp.site import Site, SiteHost
from encamp.transport import Link, Remote
from roles import prefect_client, prefect_server, prefect_worker

STAGE = ("verify",)


class _MixedReach:
    """Clients as their own user, servers and workers as root."""

    def __init__(self, as_root: Reach, as_user: Reach, clients: set[str]) -> None:
        self._as_root, self._as_user, self._clients = as_root, as_user, clients

    def _for(self, host: str) -> Reach:
        return self._as_user if host in self._clients else self._as_root

    def open(self, host: str) -> Link:
        return self._for(host).open(host)

    def remote(self, host: str) -> Remote:
        return self._for(host).remote(host)


def verify(options: Options, server: str = "") -> int:
    """Prove every selected host, or all clients and workers; with neither, the servers. Returns the exit code."""
    fleet, selected = load_site(options, (prefect_server.GROUP, prefect_worker.GROUP, prefect_client.GROUP))
    plans = {host.name: _plan(host, fleet, server) for host in _provers(selected, bool(options.hosts))}
    clients = {name for name in plans if fleet.host(name).in_group(prefect_client.GROUP)}
    reach = _MixedReach(SshReach(fleet, options.config), SshReach(fleet, options.config, become=False), clients)
    told = listeners(options)
    run = Run("verify", Mode(forks=options.forks), reach, told)
    wave = Wave("verify", dict.fromkeys(plans, STAGE))
    outcomes = run.converge([wave], {(name, STAGE): host_plan for name, host_plan in plans.items()})
    return finish(options, outcomes, told)


def _provers(selected: list[SiteHost], named: bool) -> list[SiteHost]:
    """Who starts flow runs: clients and workers; servers only where there is neither, or where -H names them."""
    from_outside = [host for host in selected if _is_client(host) or prefect_worker.is_declared(host)]
    return selected if named else from_outside or selected


def _plan(host: SiteHost, fleet: Site, server: str) -> HostPlan:
    if _is_client(host):
        name = prefect_client.profile_name(host)
        return plan.build(host.name, [prefect_client.proof(host, api_for(fleet, server, ""), name)])
    if prefect_worker.is_declared(host):
        return plan.build(host.name, [prefect_worker.proof(host, fleet)])
    return plan.build(host.name, [prefect_server.proof(host)])


def _is_client(host: SiteHost) -> bool:
    return host.in_group(prefect_client.GROUP) and not host.in_group(prefect_server.GROUP)
