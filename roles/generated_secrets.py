"""The secrets that encamp generates for a site: what each is, which hosts a deploy gives it to, and which clients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from encamp.errors import SettingsError
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles import stages
from roles.client import database as client_database
from roles.client import role as prefect_client
from roles.database import settings as database
from roles.database.connection import keeper_of, password_name
from roles.network import access, address, trust
from roles.prefect import role as base
from roles.prefect import versions
from roles.server import role as prefect_server
from roles.worker import role as prefect_worker

Kind = Literal["auth", "role", "authority"]


@record
class Generated:
    """A secret of the site's store. ``hosts`` get it by a deploy, in this order; ``clients`` by configure-client.

    ``setting`` is the setting that it stands for, ``what`` says what it is.
    """

    name: str
    kind: Kind
    setting: str
    what: str
    hosts: tuple[str, ...]
    clients: tuple[str, ...] = ()


def find(site: Site) -> list[Generated]:
    """All generated secrets of a site, made already or not. Fetches none that is an operator's own."""
    servers = [view for host in site.hosts if stages.is_server(host) for view in host.instances]
    found = [*_auths(servers, site), *_roles(servers, site), *_authority(servers, site)]
    return list(_merged(found).values())


def _auths(servers: list[SiteHost], site: Site) -> Iterator[Generated]:
    for view in servers:
        release = view.settings(base.Settings).prefect_version
        if view.settings(access.Settings).auth == "auto" and versions.able("auth", release):
            hosts = (view.name, *_workers(view, site))
            what = f"basic auth of {_title(view)}"
            yield Generated(access.secret_name(view), "auth", "auth", what, hosts, _clients(view, site))


def _roles(servers: list[SiteHost], site: Site) -> Iterator[Generated]:
    for view in servers:
        if database.kind(view) == "network" and view.settings(database.Settings).database_password is None:
            keeper = keeper_of(view, site).name
            what = f"password of the Postgres role {database.name(view)} on {keeper}"
            clients = _clients(view, site, "database")
            yield Generated(password_name(view), "role", "database_password", what, (keeper, view.name), clients)


def _authority(servers: list[SiteHost], site: Site) -> Iterator[Generated]:
    for view in servers:
        if view.settings(address.Settings).tls == "internal":
            hosts = (view.name, *_workers(view, site))
            what = "certificate authority of the site"
            yield Generated(trust.AUTHORITY, "authority", "tls", what, hosts, _clients(view, site))


def _merged(found: list[Generated]) -> dict[str, Generated]:
    """One entry for each name: several servers may share a secret."""
    merged: dict[str, Generated] = {}
    for one in found:
        known = merged.get(one.name, one)
        hosts = tuple(dict.fromkeys([*known.hosts, *one.hosts]))
        clients = tuple(dict.fromkeys([*known.clients, *one.clients]))
        merged[one.name] = dataclasses.replace(known, hosts=hosts, clients=clients)
    return merged


def _workers(server: SiteHost, site: Site) -> list[str]:
    """The hosts whose workers use an instance of a server."""
    return [host.name for host in site.hosts for view in host.instances if _works_for(view, server, site)]


def _works_for(view: SiteHost, server: SiteHost, site: Site) -> bool:
    if not prefect_worker.is_declared(view):
        return False
    try:
        used = prefect_worker.server_for(view, site)
    except SettingsError:
        return False  # its own deploy tells
    return (used.name, used.instance) == (server.name, server.instance)


def _clients(server: SiteHost, site: Site, mode: prefect_client.Mode = "hosted") -> tuple[str, ...]:
    """The clients in the inventory that use a server in this mode."""
    only = len(site.in_group(prefect_server.GROUP)) <= 1
    found = []
    for host in site.in_group(prefect_client.GROUP):
        named = host.settings(prefect_worker.Settings).server.partition("/")[0]
        uses = named == server.name or (not named and only)
        if uses and prefect_client.mode_of(host) == mode and (mode == "hosted" or client_database.needs_server(host)):
            found.append(host.name)
    return tuple(found)


def _title(view: SiteHost) -> str:
    return view.name if len(view.instances) == 1 else f"{view.name} ({view.instance})"
