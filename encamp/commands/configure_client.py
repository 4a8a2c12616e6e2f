"""``fab configure-client``: what the flows of a laptop, or of this machine, run against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from encamp.cli.options import Options
from encamp.commands.load_site import load_site, load_this_machine
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import announce, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.inventory.load import select_hosts
from encamp.planning.plan import Item
from encamp.running.connectors import Connector, LocalConnector, SshConnector
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from encamp.support.urls import without_login
from roles.client import database as client_database
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.client.role import Api, ProfileSpec
from roles.network import access
from roles.network.address_checks import check_public_url
from roles.prefect import server_choice
from roles.prefect.groups import CLIENTS, SERVERS
from roles.prefect.layout import DEFAULT


@record
class ClientOptions:
    """The options of the command line. ``mode``, ``profile``, ``server``: empty leaves it to the client's settings."""

    profile: str = ""
    server: str = ""
    api_url: str = ""
    mode: str = ""
    undo: bool = False
    install: bool = False


def configure_client(options: Options, client: ClientOptions) -> int:
    """Write the profiles of each client, once their targets have answered there. Without hosts: on this machine.

    Returns the exit code; raises EncampError.
    """
    check(options, client)
    with reporting(options, "configure-client") as reports:
        site, selected, connector = clients(options)
        prepared = single_stage("client", {host.name: items(host, site, options, client) for host in selected})
        announce(site, [host.name for host in selected], connector, reports)
        run_hosts("configure-client", options.mode, connector, prepared, reports)
        return reports.end()


def check(options: Options, client: ClientOptions) -> None:
    """Raises UsageError for what an option cannot be, and for options that do not go together."""
    if client.api_url and client.server:
        raise UsageError("--server and --api-url exclude each other", "give one of them")
    if client.undo and (client.install or client.server or client.api_url or client.mode):
        raise UsageError("--undo cannot be combined with other options than --profile", "undo first, then configure")
    problem = prefect_client.check_profile(client.profile)
    if problem:
        raise UsageError(f"--profile {client.profile!r}: {problem}", "give it another name")
    if client.mode not in ("", *prefect_client.MODES):
        raise UsageError(f"--mode {client.mode}: unknown mode", f"one of {', '.join(prefect_client.MODES)}")
    if client.mode == "local" and (client.api_url or client.server):
        raise UsageError("--mode local uses no server, but --api-url or --server names one", "leave one out")
    if client.api_url and options.instance:
        raise UsageError(
            "--instance selects an instance of the site's servers, --api-url an API outside the site", "leave one out"
        )


def items(host: SiteHost, site: Site, options: Options, client: ClientOptions) -> Iterable[Item]:
    """The declarations for one client."""
    if client.undo:
        return client_modes.undo(client.profile or _named(options))
    mode = prefect_client.mode_of(host, client.mode)
    if mode == "local":
        name = client.profile or host.settings(prefect_client.Settings).profile or _named(options)
        return client_modes.local(host, site, name, client.install)
    found = profile_specs(host, site, options, client)
    write = client_modes.in_database if mode == "database" else client_modes.hosted
    return write(host, site, found, client.install)


def _named(options: Options) -> str:
    return prefect_client.profile_of(options.instance) if options.instance else ""


def clients(options: Options) -> tuple[Site, list[SiteHost], Connector]:
    """The clients that a task is about, and how they are reached: ``-H``, or this machine."""
    site, selected = declared(options)
    if options.hosts:
        return site, selected, SshConnector(site, options.config, False, [host.name for host in selected])
    return site, selected, LocalConnector()


def declared(options: Options) -> tuple[Site, list[SiteHost]]:
    """The clients that a task is about: ``-H``, or this machine as one more of the group.

    Raises EncampError, also for a ``--limit`` that would leave nothing but this machine.
    """
    if options.hosts:
        return load_site(options, (CLIENTS,), missing="refuse")
    if options.limit:
        raise UsageError("without -H this is about this machine alone, which --limit does not name", "give -H as well")
    site, this = load_this_machine(options, CLIENTS)
    return site, [this]


def profile_specs(host: SiteHost, site: Site, options: Options, client: ClientOptions) -> list[ProfileSpec]:
    """One profile for each instance of the client's server, or for the one that is named.

    Raises UsageError, SettingsError.
    """
    in_database = prefect_client.mode_of(host, client.mode) == "database"
    given = client.profile or host.settings(prefect_client.Settings).profile
    if client.api_url and in_database:
        raise UsageError(f"{host.name}: --api-url requires the mode hosted", "leave it out, or give --mode hosted")
    if client.api_url:
        url = _normal(client.api_url)
        api = Api(url, settings=access.foreign_settings(host), ca=prefect_client.company(url, host))
        return [ProfileSpec(given or prefect_client.profile_of(), api)]
    if in_database and not client_database.needs_server(host) and not _servers(host, site, client.server):
        return [ProfileSpec(given or prefect_client.profile_of(), None, client_database.target(host, None, site))]
    views = _instances(server_of(host, site, client.server), options.instance or _named_server(host, client.server)[1])
    if given and len(views) > 1:
        raise UsageError(
            f"{host.name}: one profile name ({given}) for {len(views)} instances: {_names(views)}",
            "choose one with --instance, or leave the name out: each instance gets its own profile",
        )
    found = []
    for view in views:
        target = client_database.target(host, view, site) if in_database else None
        name = given or prefect_client.profile_of(view.instance)
        found.append(ProfileSpec(name, prefect_client.api_of(view, host, site), target))
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


def api_of(host: SiteHost, site: Site, server: str = "") -> Api:
    """The API that a client is pointed at: of the instance that is named, or the first. Raises EncampError."""
    views = _instances(server_of(host, site, server), _named_server(host, server)[1])
    return prefect_client.api_of(views[0], host, site)


def server_of(host: SiteHost, site: Site, server: str = "") -> SiteHost:
    """The server of a client: ``server``, the one in its own setting, or the site's only one.

    Raises UsageError when it is not clear which.
    """
    found = _servers(host, site, server)
    if len(found) != 1:
        names = ", ".join(one.name for one in site.in_group(SERVERS)) or "none"
        named, _ = _named_server(host, server)
        raise UsageError(
            f"{host.name}: which server to use is not clear; the site's servers: {names}"
            + (f"; not {named}" if named else ""),
            "name it with --server HOST (configure-client also takes --api-url URL)",
        )
    return found[0]


def _named_server(host: SiteHost, server: str) -> tuple[str, str]:
    """The server that is named, and its instance: ``vm1/personal``; each may be empty."""
    name, _, instance = (server or host.settings(server_choice.Settings).server).partition("/")
    return name, instance


def _servers(host: SiteHost, site: Site, server: str) -> list[SiteHost]:
    """The servers that may be meant."""
    named, _ = _named_server(host, server)
    known = site.in_group(SERVERS)
    return [one for one in known if not named or one.name == named] or _other(site, named, adhoc=not known)


def _other(site: Site, name: str, adhoc: bool) -> list[SiteHost]:
    """A server outside the group servers: a host of the site, or (``adhoc``) one that the site lets be named.

    A site that lists its servers takes no other name: it would be a mistyped one.
    """
    known = name in site.inventory.hosts or (adhoc and site.inventory.adhoc)
    return [SiteHost(host) for host in select_hosts(site.inventory, name)] if name and known else []


def _normal(url: str) -> str:
    """An API URL as Prefect wants it: with a scheme, without a trailing slash, with /api."""
    problem = check_public_url(url)
    if problem:
        raise UsageError(f"--api-url {without_login(url)}: {problem}", "for example --api-url http://vm1:4200/api")
    return url.rstrip("/").removesuffix("/api") + "/api"
