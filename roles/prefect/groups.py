"""The groups of an inventory that encamp's roles are deployed to."""

from __future__ import annotations

from encamp.site import SiteHost
from roles import site_roles

SERVERS = "servers"
WORKERS = "workers"
CLIENTS = "clients"
DATABASES = "databases"
BACKUPS = "backups"
ALL = (BACKUPS, DATABASES, SERVERS, WORKERS, CLIENTS)


def is_server(host: SiteHost) -> bool:
    """Whether a host runs servers.

    Members of servers; and, where the site says ``adhoc: true``, hosts that are in the group of no role.
    """
    return host.in_group(SERVERS) or (host.adhoc and not any(map(host.in_group, (*ALL, *site_roles.groups()))))
