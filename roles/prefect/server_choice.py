"""Which server a worker or a client is for."""

from __future__ import annotations

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.prefect.groups import SERVERS, WORKERS


@record
class Settings:
    """The server that a worker or a client uses."""

    server: str = setting(
        "",
        "Inventory name of the server to use, if the site has several. The instance of the same name "
        "is used, or the only one; vm1/personal selects another.",
    )


def server_for(host: SiteHost, site: Site) -> SiteHost:
    """The server's instance that a worker or client uses. Raises SettingsError when it is not clear which."""
    named, _, instance = host.settings(Settings).server.partition("/")
    servers = [server for server in site.in_group(SERVERS) if not named or server.name == named]
    if len(servers) == 1:
        return _instance(host, servers[0], instance)
    if host.adhoc and not host.in_group(WORKERS):
        return host
    known = ", ".join(server.name for server in site.in_group(SERVERS)) or "none"
    reason = f"server {named} does not exist" if named else "the server to use is ambiguous"
    raise SettingsError(
        f"{host.name}: {reason} (servers of this site: {known})",
        "set server: to one of them, or add one host to the group servers",
        next(filter(None, map(host.origin, ("server", "workers", "agents", "work_pool", "ansible_host"))), None),
    )


def _instance(host: SiteHost, server: SiteHost, named: str) -> SiteHost:
    """The instance of ``server`` called ``named``, or else as ``host``'s own, or else the only one."""
    by_name = {view.instance: view for view in server.instances}
    if named in by_name or (not named and host.instance in by_name):
        return by_name[named or host.instance]
    if not named and len(by_name) == 1:
        return server
    raise SettingsError(
        f"{host.name}: {server.name} has no instance {named or host.instance} (it has {', '.join(by_name)})",
        f"set server: {server.name}/<one of them>",
        host.origin("server") or server.origin("instances"),
    )
