"""``fab configure-client``: point a laptop, or this machine, at the hosted API."""

from __future__ import annotations

from collections.abc import Sequence

from encamp import inventory, plan
from encamp.commands.options import Options, finish, listeners, load_site
from encamp.errors import UsageError
from encamp.plan import HostPlan, Item
from encamp.reach import LocalReach, Reach, SshReach
from encamp.run import Run
from encamp.schedule import Wave
from encamp.site import Site, SiteHost
from roles import base, prefect_client, prefect_server
from roles.prefect_client import Api

LOCAL = "localhost"


def configure_client(
    options: Options, profile: str = "", server: str = "", api_url: str = "", undo: bool = False, install: bool = False
) -> int:
    """Write the profile on each client and prove that the API answers there. Without hosts: on this machine.

    Returns the exit code; raises EncampError.
    """
    fleet, selected, reach = clients(options)
    api = Api("") if undo else api_for(fleet, server, api_url)
    plans: dict[tuple[str, tuple[str, ...]], HostPlan] = {}
    for host in selected:
        name = prefect_client.profile_name(host, profile)
        items: Sequence[Item]
        if undo:
            items = list(prefect_client.undo(name))
        else:
            items = list(prefect_client.resources(host, fleet, api, name, install))
        plans[host.name, ("client",)] = plan.build(host.name, items)
    told = listeners(options)
    wave = Wave("client", {host.name: ("client",) for host in selected})
    outcomes = Run("configure-client", options.mode, reach, told).converge([wave], plans)
    return finish(options, outcomes, told)


def clients(options: Options) -> tuple[Site, list[SiteHost], Reach]:
    """The clients that a task is about, and how they are reached: ``-H``, or this machine."""
    if options.hosts:
        fleet, selected = load_site(options, (prefect_client.GROUP,))
        return fleet, selected, SshReach(fleet, options.config, become=False)
    fleet, _ = load_site(_everyone(options), ("all",))
    local = SiteHost(inventory.Host(LOCAL, ("all", prefect_client.GROUP), fleet.inventory.variables))
    return fleet, [local], LocalReach()


def _everyone(options: Options) -> Options:
    import dataclasses

    return dataclasses.replace(options, hosts="all")


def api_for(fleet: Site, server: str, api_url: str) -> Api:
    """The API to point clients at. Raises UsageError when it is not clear which."""
    if api_url and server:
        raise UsageError("--server and --api-url exclude each other", "give one of them")
    if api_url:
        return Api(_normal(api_url))
    servers = [host for host in fleet.in_group(prefect_server.GROUP) if not server or host.name == server]
    if server and not servers:
        selected = inventory.select(fleet.inventory, server)
        servers = [SiteHost(host) for host in selected]
    if len(servers) != 1:
        known = ", ".join(host.name for host in servers) or "none"
        raise UsageError(f"which server? The inventory has: {known}", "say --server HOST or --api-url URL")
    return Api(prefect_server.api_url(servers[0]), servers[0].settings(base.Settings).prefect_version)


def _normal(url: str) -> str:
    """An API URL as Prefect wants it: with a scheme, without a trailing slash, with /api."""
    problem = prefect_server.check_public_url(url)
    if problem:
        raise UsageError(f"--api-url {url}: {problem}")
    return url.rstrip("/").removesuffix("/api") + "/api"
