"""Connections: how many the Prefect processes of a site may open at one Postgres, against what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.errors import Origin, SettingsError
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.client import database as client_database
from roles.client import role as prefect_client
from roles.database import connection as database_connection
from roles.database import host as database_host
from roles.database import settings as database
from roles.prefect.groups import CLIENTS, SERVERS
from roles.prefect.layout import Layout

#: Beside its pool a server of Prefect 3 holds one connection that listens for notifications.
LISTENER = 1


@record
class Demand:
    """What one process may open. ``who`` names it to people."""

    who: str
    connections: int


def per_process(host: SiteHost) -> int:
    """Connections that one process with the instance's settings opens when it is busiest."""
    settings = host.settings(database.Settings)
    return settings.database_pool_size + settings.database_max_overflow + LISTENER


def servers(site: Site, *more: SiteHost) -> list[SiteHost]:
    """Every instance of every server, and of ``more``: servers that are in no group."""
    hosts = {host.name: host for host in [*site.in_group(SERVERS), *more]}
    return [view for host in hosts.values() for view in host.instances]


def sharing(host: SiteHost, site: Site) -> list[SiteHost]:
    """The servers whose database is on the same Postgres as this one's, this one first."""
    cluster = _cluster(host, site)
    others = [view for view in servers(site) if _title(view) != _title(host)]
    return [host, *(view for view in others if _cluster_or_none(view, site) == cluster)]


def demands(host: SiteHost, site: Site) -> list[Demand]:
    """What every process may open at the Postgres of one instance."""
    return demands_of(sharing(host, site), site)


def demands_of(views: Sequence[SiteHost], site: Site) -> list[Demand]:
    """What servers may open at one Postgres, and clients that write to it themselves, with one flow run each."""
    found = [Demand(_title(view), per_process(view)) for view in views]
    names = ("", *(view.name for view in views))
    for client in site.in_group(CLIENTS):
        if prefect_client.mode_of(client) == "database" and client_database.needs_server(client):
            server = client.inventory.variables.get("server")
            if str(server.data if server else "").partition("/")[0] in names:
                settings = client.settings(client_database.Settings)
                found.append(Demand(client.name, settings.client_database_connections + LISTENER))
    return found


def total(found: Sequence[Demand]) -> int:
    """The connections of all of them together."""
    return sum(demand.connections for demand in found)


def check(host: SiteHost, site: Site) -> None:
    """Raises SettingsError where the inventory shows that the instance's Postgres has too few connections."""
    if database.kind(host) not in ("socket", "network"):
        return
    db_host, found = database_connection.database_host_of(host, site), demands(host, site)
    in_stack, settable = database.has_postgres(host), database_host.usable_connections(db_host)
    usable = database_host.MAX_CONNECTIONS - database_host.RESERVED if in_stack else settable
    if total(found) <= usable:
        return
    wanted = total(found) + database_host.RESERVED
    more = f"set postgres_max_connections: {wanted} or more for {db_host.name} (Postgres restarts), or "
    listed = ", ".join(f"{demand.who} {demand.connections}" for demand in found)
    raise SettingsError(
        f"Postgres on {db_host.name} has {usable} connections for clients, but Prefect's processes may open "
        f"{total(found)} ({listed})",
        f"{'' if in_stack else more}lower database_pool_size and database_max_overflow",
        (None if in_stack else db_host.origin("postgres_max_connections")) or host.origin("database_pool_size"),
    )


def check_shared(host: SiteHost, site: Site) -> None:
    """Raises SettingsError where two servers would write into one database without that being meant."""
    if database.kind(host) == "sqlite":
        return
    for other in _same_database(host, site):
        if not (host.settings(database.Settings).database_shared and other.settings(database.Settings).database_shared):
            raise SettingsError(
                f"{_title(host)} and {_title(other)} would use one database",
                "give one of them its own database_name (or database_url); to let several servers share it, "
                "set database_shared: true for both",
                _where(host) or _where(other),
            )


def _where(host: SiteHost) -> Origin | None:
    """The line that says which database an instance uses."""
    return host.origin("database_url") or host.origin("database_host") or host.origin("database_name")


def is_shared(host: SiteHost, site: Site) -> bool:
    """Whether several servers use the database of this one."""
    return host.settings(database.Settings).database_shared or any(_same_database(host, site))


def _same_database(host: SiteHost, site: Site) -> Iterator[SiteHost]:
    mine = database_connection.connection(host, site).database
    for view in sharing(host, site)[1:]:
        if database_connection.connection(view, site).database == mine:
            yield view


def _cluster(host: SiteHost, site: Site) -> str:
    """Which Postgres an instance uses: equal texts are one. Raises SettingsError."""
    if database.kind(host) == "external":
        return database_connection.connection(host, site).cluster
    if database.has_postgres(host):
        return f"in the stack of {_title(host)}"
    return f"on {database_connection.database_host_of(host, site).name}"


def _cluster_or_none(host: SiteHost, site: Site) -> str | None:
    """As ``_cluster``; None for SQLite, and where a peer's settings cannot be read: its own deploy reports that."""
    try:
        return None if database.kind(host) == "sqlite" else _cluster(host, site)
    except SettingsError:
        return None


def _title(host: SiteHost) -> str:
    return host.name if len(host.instances) == 1 else f"{host.name} ({Layout(host.instance).name})"
