"""``fab configure-client``: point a laptop, or this machine, at the hosted API."""

from __future__ import annotations

from collections.abc import Iterable

from encamp import inventory, plan
from encamp.commands.options import Options, finish, listeners, load_site, load_this_machine
from encamp.errors import UsageError
from encamp.plan import HostPlan, Item
from encamp.reach import LocalReach, Reach, SshReach
from encamp.run import Run
from encamp.schedule import Wave
from encamp.site import Site, SiteHost
from roles import address, base, prefect_client, prefect_server, prefect_worker
from roles.prefect_client import Api

STAGE: tuple[str, ...] = ("client",)


def configure_client(
    options: Options, profile: str = "", server: str = "", api_url: str = "", undo: bool = False, install: bool = False
) -> int:
    """Write the profile on each client and prove that the API answers there. Without hosts: on this machine.

    Returns the exit code; raises EncampError.
    """
    if api_url and server:
        raise UsageError("--server and --api-url exclude each other", "give one of them")
    if undo and (install or server or api_url):
        raise UsageError("--undo goes with neither --install, --server nor --api-url", "undo first, then configure")
    fleet, selected, reach = clients(options)
    plans: dict[tuple[str, tuple[str, ...]], HostPlan] = {}
    for host in selected:
        name = prefect_client.profile_name(host, profile)
        items: Iterable[Item]
        if undo:
            items = prefect_client.undo(name)
        else:
            api = Api(_normal(api_url)) if api_url else api_of(host, fleet, server)
            items = prefect_client.resources(host, fleet, api, name, install)
        plans[host.name, STAGE] = plan.build(host.name, items)
    told = listeners(options)
    wave = Wave("client", {host.name: STAGE for host in selected})
    outcomes = Run("configure-client", options.mode, reach, told).converge([wave], plans)
    return finish(options, outcomes, told)


def clients(options: Options) -> tuple[Site, list[SiteHost], Reach]:
    """The clients that a task is about, and how they are reached: ``-H``, or this machine."""
    if options.hosts:
        fleet, selected = load_site(options, (prefect_client.GROUP,), missing="refuse")
        return fleet, selected, SshReach(fleet, options.config, become=False)
    fleet, this = load_this_machine(options, prefect_client.GROUP)
    return fleet, [this], LocalReach()


def api_of(host: SiteHost, fleet: Site, server: str = "") -> Api:
    """The API that a client is pointed at: of ``server``, of the client's own setting, or of the site's one server.

    Raises UsageError when it is not clear which.
    """
    named = server or host.settings(prefect_worker.Settings).server
    known = fleet.in_group(prefect_server.GROUP)
    found = [one for one in known if not named or one.name == named] or _other(fleet, named, adhoc=not known)
    if len(found) != 1:
        names = ", ".join(one.name for one in known) or "none"
        raise UsageError(
            f"{host.name}: which server? The site's servers: {names}" + (f"; not {named}" if named else ""),
            "say --server HOST or --api-url URL",
        )
    return Api(address.api_url(found[0]), found[0].settings(base.Settings).prefect_version)


def _other(fleet: Site, name: str, adhoc: bool) -> list[SiteHost]:
    """A server outside the group servers: a host of the site, or (``adhoc``) one that the site lets be named.

    A site that lists its servers takes no other name: it would be a mistyped one.
    """
    known = name in fleet.inventory.hosts or (adhoc and fleet.inventory.adhoc)
    return [SiteHost(host) for host in inventory.select(fleet.inventory, name)] if name and known else []


def _normal(url: str) -> str:
    """An API URL as Prefect wants it: with a scheme, without a trailing slash, with /api."""
    problem = address.check_public_url(url)
    if problem:
        raise UsageError(f"--api-url {url}: {problem}")
    return url.rstrip("/").removesuffix("/api") + "/api"
