"""``fab configure-client``: what the flows of a laptop, or of this machine, run against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from encamp.cli.options import Options, load_site, load_this_machine, reporting
from encamp.errors import UsageError
from encamp.inventory import load as inventory
from encamp.planning import plan
from encamp.planning.plan import HostPlan, Item
from encamp.planning.schedule import Wave
from encamp.running.connectors import LocalReach, Reach, SshReach
from encamp.running.run import Run
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.client import database as client_database
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.client.role import Api, Goal
from roles.network import access
from roles.network.address_checks import check_public_url
from roles.prefect import server_choice
from roles.prefect.groups import CLIENTS, SERVERS
from roles.prefect.layout import DEFAULT

STAGE: tuple[str, ...] = ("client",)


@record
class Wish:
    """What the command line asks for. ``mode``, ``profile``, ``server``: empty leaves it to the client's settings."""

    profile: str = ""
    server: str = ""
    api_url: str = ""
    mode: str = ""
    undo: bool = False
    install: bool = False


def configure_client(options: Options, wish: Wish) -> int:
    """Write the profiles of each client, once what they point to has answered there. Without hosts: on this machine.

    Returns the exit code; raises EncampError.
    """
    _check(options, wish)
    with reporting(options, "configure-client") as told:
        fleet, selected, reach = clients(options)
        plans: dict[tuple[str, tuple[str, ...]], HostPlan] = {}
        for host in selected:
            plans[host.name, STAGE] = plan.build(host.name, items(host, fleet, options, wish))
        told.start(str(fleet.inventory.path), [host.name for host in selected])
        if isinstance(reach, SshReach):
            reach.tell(told.warn)
        wave = Wave("client", {host.name: STAGE for host in selected})
        Run("configure-client", options.mode, reach, [told]).converge([wave], plans)
        return told.end()


def _check(options: Options, wish: Wish) -> None:
    """Raises UsageError for what an option cannot be, and for options that do not go together."""
    if wish.api_url and wish.server:
        raise UsageError("--server and --api-url exclude each other", "give one of them")
    if wish.undo and (wish.install or wish.server or wish.api_url or wish.mode):
        raise UsageError("--undo goes with no other option but --profile", "undo first, then configure")
    problem = prefect_client.check_profile(wish.profile)
    if problem:
        raise UsageError(f"--profile {wish.profile!r}: {problem}", "give it another name")
    if wish.mode not in ("", *prefect_client.MODES):
        raise UsageError(f"--mode {wish.mode}: there is no such mode", f"one of {', '.join(prefect_client.MODES)}")
    if wish.mode == "local" and (wish.api_url or wish.server):
        raise UsageError("--mode local uses no server, --api-url and --server name one", "leave one out")
    if wish.api_url and options.instance:
        raise UsageError("--instance chooses one of the site's servers, --api-url is none of them", "leave one out")


def items(host: SiteHost, fleet: Site, options: Options, wish: Wish) -> Iterable[Item]:
    """What one client is to be."""
    if wish.undo:
        return client_modes.undo(wish.profile or _named(options))
    mode = prefect_client.mode_of(host, wish.mode)
    if mode == "local":
        name = wish.profile or host.settings(prefect_client.Settings).profile or _named(options)
        return client_modes.local(host, fleet, name, wish.install)
    found = goals(host, fleet, options, wish)
    write = client_modes.in_database if mode == "database" else client_modes.hosted
    return write(host, fleet, found, wish.install)


def _named(options: Options) -> str:
    return prefect_client.profile_of(options.instance) if options.instance else ""


def clients(options: Options) -> tuple[Site, list[SiteHost], Reach]:
    """The clients that a task is about, and how they are reached: ``-H``, or this machine."""
    if options.hosts:
        fleet, selected = load_site(options, (CLIENTS,), missing="refuse")
        return fleet, selected, SshReach(fleet, options.config, False, [host.name for host in selected])
    fleet, this = load_this_machine(options, CLIENTS)
    return fleet, [this], LocalReach()


def goals(host: SiteHost, fleet: Site, options: Options, wish: Wish) -> list[Goal]:
    """One profile for each instance of the client's server, or for the one that is named.

    Raises UsageError, SettingsError.
    """
    in_database = prefect_client.mode_of(host, wish.mode) == "database"
    given = wish.profile or host.settings(prefect_client.Settings).profile
    if wish.api_url and in_database:
        raise UsageError(f"{host.name}: --api-url is for the mode hosted", "leave it out, or give --mode hosted")
    if wish.api_url:
        url = _normal(wish.api_url)
        api = Api(url, settings=access.foreign_settings(host), ca=prefect_client.company(url, host))
        return [Goal(given or prefect_client.profile_of(), api)]
    if in_database and not client_database.needs_server(host) and not _servers(host, fleet, wish.server):
        return [Goal(given or prefect_client.profile_of(), None, client_database.target(host, None, fleet))]
    views = _instances(server_of(host, fleet, wish.server), options.instance or _named_server(host, wish.server)[1])
    if given and len(views) > 1:
        raise UsageError(
            f"{host.name}: one profile name ({given}) for {len(views)} instances: {_names(views)}",
            "say which with --instance, or leave the name out: each gets its own",
        )
    found = []
    for view in views:
        target = client_database.target(host, view, fleet) if in_database else None
        name = given or prefect_client.profile_of(view.instance)
        found.append(Goal(name, prefect_client.api_of(view, host, fleet), target))
    return found


def _instances(server: SiteHost, named: str) -> list[SiteHost]:
    """The instances of a server, ``default`` first, or the one that is named. Raises UsageError."""
    found = sorted(
        (view for view in server.instances if named in ("", view.instance)), key=lambda view: view.instance != DEFAULT
    )
    if not found:
        raise UsageError(f"{server.name} has no instance {named}", f"it has: {_names(server.instances)}")
    return found


def _names(views: Sequence[SiteHost]) -> str:
    return ", ".join(view.instance for view in views)


def api_of(host: SiteHost, fleet: Site, server: str = "") -> Api:
    """The API that a client is pointed at: of the instance that is named, or the first. Raises EncampError."""
    views = _instances(server_of(host, fleet, server), _named_server(host, server)[1])
    return prefect_client.api_of(views[0], host, fleet)


def server_of(host: SiteHost, fleet: Site, server: str = "") -> SiteHost:
    """The server of a client: ``server``, the one in its own setting, or the site's only one.

    Raises UsageError when it is not clear which.
    """
    found = _servers(host, fleet, server)
    if len(found) != 1:
        names = ", ".join(one.name for one in fleet.in_group(SERVERS)) or "none"
        named, _ = _named_server(host, server)
        raise UsageError(
            f"{host.name}: which server? The site's servers: {names}" + (f"; not {named}" if named else ""),
            "say --server HOST or --api-url URL",
        )
    return found[0]


def _named_server(host: SiteHost, server: str) -> tuple[str, str]:
    """The server that is named, and its instance: ``vm1/personal``; each may be empty."""
    name, _, instance = (server or host.settings(server_choice.Settings).server).partition("/")
    return name, instance


def _servers(host: SiteHost, fleet: Site, server: str) -> list[SiteHost]:
    """The servers that may be meant."""
    named, _ = _named_server(host, server)
    known = fleet.in_group(SERVERS)
    return [one for one in known if not named or one.name == named] or _other(fleet, named, adhoc=not known)


def _other(fleet: Site, name: str, adhoc: bool) -> list[SiteHost]:
    """A server outside the group servers: a host of the site, or (``adhoc``) one that the site lets be named.

    A site that lists its servers takes no other name: it would be a mistyped one.
    """
    known = name in fleet.inventory.hosts or (adhoc and fleet.inventory.adhoc)
    return [SiteHost(host) for host in inventory.select(fleet.inventory, name)] if name and known else []


def _normal(url: str) -> str:
    """An API URL as Prefect wants it: with a scheme, without a trailing slash, with /api."""
    problem = check_public_url(url)
    if problem:
        raise UsageError(f"--api-url {url}: {problem}")
    return url.rstrip("/").removesuffix("/api") + "/api"
