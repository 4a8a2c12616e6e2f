"""The secrets that encamp generates for a server: basic auth, the password of its database, the site's authority."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.errors import SettingsError
from encamp.site import Site, SiteHost
from roles.client import database as client_database
from roles.client import role as client
from roles.database import settings as database
from roles.database.connection import database_host_of, password_name
from roles.network import access, address, trust
from roles.prefect import server_choice, versions
from roles.prefect.groups import CLIENTS, SERVERS
from roles.prefect.release import prefect_version
from roles.role import GeneratedSecret
from roles.worker import role as worker


def generated(view: SiteHost, site: Site) -> Iterator[GeneratedSecret]:
    """What a server's instance gets, made already or not. Fetches none that is an operator's own."""
    yield from _auth(view, site)
    yield from _database_password(view, site)
    yield from _authority(view, site)


def _auth(view: SiteHost, site: Site) -> Iterator[GeneratedSecret]:
    release = prefect_version(view)
    if view.settings(access.Settings).auth == "auto" and versions.able("auth", release):
        hosts = (view.name, *_workers(view, site))
        what = f"basic auth of {_title(view)}"
        yield GeneratedSecret(access.secret_name(view), "auth", "auth", what, hosts, _clients(view, site))


def _database_password(view: SiteHost, site: Site) -> Iterator[GeneratedSecret]:
    if database.kind(view) == "network" and view.settings(database.Settings).database_password is None:
        db_host = database_host_of(view, site).name
        what = f"password of the Postgres role {database.name(view)} on {db_host}"
        clients = _clients(view, site, "database")
        yield GeneratedSecret(password_name(view), "role", "database_password", what, (db_host, view.name), clients)


def _authority(view: SiteHost, site: Site) -> Iterator[GeneratedSecret]:
    if view.settings(address.Settings).tls == "internal":
        hosts = (view.name, *_workers(view, site))
        what = "certificate authority of the site"
        yield GeneratedSecret(trust.AUTHORITY, "authority", "tls", what, hosts, _clients(view, site))


def _workers(server: SiteHost, site: Site) -> list[str]:
    """The hosts whose workers use an instance of a server."""
    return [host.name for host in site.hosts for view in host.instances if _works_for(view, server, site)]


def _works_for(view: SiteHost, server: SiteHost, site: Site) -> bool:
    if not worker.is_declared(view):
        return False
    try:
        used = server_choice.server_for(view, site)
    except SettingsError:
        return False  # its own deploy reports it
    return (used.name, used.instance) == (server.name, server.instance)


def _clients(server: SiteHost, site: Site, mode: client.Mode = "hosted") -> tuple[str, ...]:
    """The clients in the inventory that use a server in this mode."""
    only = len(site.in_group(SERVERS)) <= 1
    found = []
    for host in site.in_group(CLIENTS):
        named = host.settings(server_choice.Settings).server.partition("/")[0]
        uses = named == server.name or (not named and only)
        if uses and client.mode_of(host) == mode and (mode == "hosted" or client_database.needs_server(host)):
            found.append(host.name)
    return tuple(found)


def _title(view: SiteHost) -> str:
    return view.name if len(view.instances) == 1 else f"{view.name} ({view.instance})"
