"""Postgres: for servers on its own host by socket and peer, so that no password exists; for others over the network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.resources.firewall.port import FirewallPort
from encamp.resources.postgres.cluster import PostgresCluster
from encamp.resources.postgres.comeback import PostgresComeback
from encamp.resources.postgres.database import PostgresDatabase
from encamp.resources.postgres.expectation import PostgresExpectation
from encamp.resources.postgres.extension import PostgresExtension
from encamp.resources.postgres.hba_prune import PostgresHbaOnly
from encamp.resources.postgres.hba_rule import PostgresHbaRule
from encamp.resources.postgres.role import PostgresRole
from encamp.resources.postgres.server import PostgresServer
from encamp.resources.postgres.settings import PostgresSettings
from encamp.resources.probes.expectation import Expectation
from encamp.site import Site, SiteHost
from roles.backup import deployed as backups
from roles.client import database as client_database
from roles.database import connection as database_connection
from roles.database import host as database_host
from roles.database import settings as database
from roles.database.url import Connection
from roles.network import firewall
from roles.postgres import connection_budget
from roles.prefect.groups import DATABASES, is_server
from roles.prefect.release import system_packages
from roles.role import Role

TRIGRAMS = "pg_trgm"
#: A database is Prefect's if it has the first of these; the second may be there alone, after a start that was cut off.
TABLES = ("flow_run", "alembic_version")
#: asyncpg before 0.29, which Prefect up to 2.13 is locked with, asks Postgres for types by a query that Postgres would
#: first compile for seconds. It gives up waiting, asks again, and leaves the host with dozens of them.
SESSION = {"jit": "off"}
#: Rules of ours in pg_hba.conf begin with this.
RULES = "prefect: "
METHOD = "scram-sha-256"
DISK_MIB = 600
#: What there is once a cluster was made: on Debian its last file, on RHEL one of initdb's.
MADE = ("/etc/postgresql/*/*/environment", "/var/lib/pgsql/data/PG_VERSION", "/var/lib/pgsql/*/data/PG_VERSION")


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold on a host that keeps databases for others, before anything on it is changed."""
    yield Expectation(
        "database host",
        families=("debian", "rhel"),
        systemd=True,
        disk=(("/var/lib", DISK_MIB),),
        unless=MADE,
        filled=("/var/lib/postgresql", "/usr/lib/postgresql", "/var/cache/apt/archives"),
    )
    yield expectation(host, site)


def expectation(host: SiteHost, site: Site) -> PostgresExpectation:
    """What an existing Postgres must have: the declared port, and enough connections."""
    settings = host.settings(database_host.Settings)
    more = () if database_host.is_declared(host) else (host,)  # a server that is in no group
    found = [view for view in connection_budget.servers(site, *more) if _database_host(view, site) == host.name]
    needed = connection_budget.total(connection_budget.demands_of(found, site))
    name, port = settings.postgres_cluster, settings.postgres_port
    return PostgresExpectation(name, port, needed, settings.postgres_max_connections)


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Cluster, role, database and the trigram extension for a server on this host; nothing for another database."""
    if not database.on_this_host(host):
        return
    found, cluster = database_connection.connection(host, site), database_host.cluster(host)
    yield from _cluster(host, site)
    yield PostgresRole(found.user, settings=SESSION, cluster=cluster)
    yield from _database(found, cluster)


def for_others(host: SiteHost, site: Site) -> Iterator[Item]:
    """The same for servers on other hosts, with a password, and a way in for exactly these."""
    clients, cluster = clients_of(host, site), database_host.cluster(host)
    yield from _cluster(host, site)
    for view in clients:
        found = database_connection.connection(view, site)
        yield PostgresRole(found.user, found.password, settings=SESSION, cluster=cluster)
        yield from _database(found, cluster)
    rules = [rule for view in clients for rule in _rules(view, site, cluster)]
    yield from rules
    yield PostgresHbaOnly(RULES, tuple(rule.name for rule in rules), cluster)
    yield from _firewall(host, sorted({source for view in clients for source in sources(view)}))
    yield from backups.of_database_host(host, site)


def _database(found: Connection, cluster: str) -> Iterator[Item]:
    """An instance's database, and what Prefect's migrations need in it."""
    yield PostgresDatabase(found.database, owner=found.user, cluster=cluster, tables=TABLES)
    yield PostgresExtension(TRIGRAMS, found.database, cluster=cluster)


def clients_of(host: SiteHost, site: Site) -> list[SiteHost]:
    """The servers on other hosts whose databases this host keeps. Raises SettingsError."""
    return [
        view
        for view in connection_budget.servers(site)
        if _database_host(view, site) == host.name and database.kind(view) == "network"
    ]


def addresses(host: SiteHost) -> list[str]:
    """The addresses that the database's host sees a server come from. Raises SettingsError where that is not known."""
    given = host.settings(database.Settings).database_client_address or host.client_address
    where = host.origin("database_client_address") or host.origin("ansible_host")
    fix = f"set database_client_address for {host.name}: its source address as seen by the database host"
    if not given:
        reason = f"{host.name}: database_client_address is not set, and {host.inventory.address} is a local address"
        raise SettingsError(reason, fix, where)
    try:
        found = socket.getaddrinfo(given, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(
            f"{host.name}: {given} cannot be resolved on this machine: {error.strerror}", fix, where
        ) from None
    usable = sorted({str(place[0]).partition("%")[0] for *_, place in found})
    if any(ipaddress.ip_address(address).is_loopback for address in usable):
        raise SettingsError(f"{host.name}: {given} is a loopback address", fix, where)
    return usable


def sources(host: SiteHost) -> list[str]:
    """Who may log in to a server's database: the server, and the networks of clients in the mode database."""
    return [*addresses(host), *host.settings(client_database.Settings).client_database_sources]


def _database_host(view: SiteHost, site: Site) -> str:
    """The host that keeps a server's Postgres.

    Empty for SQLite, for a Postgres that is a stack's or others', and where that is not clear.
    """
    try:
        managed = database.kind(view) in ("socket", "network") and not database.has_postgres(view)
        return database_connection.database_host_of(view, site).name if managed else ""
    except SettingsError:
        return ""  # its own deploy reports it


def _cluster(host: SiteHost, site: Site) -> Iterator[Item]:
    settings = host.settings(database_host.Settings)
    port = settings.postgres_port
    name, rhel = settings.postgres_cluster, ("postgresql-server", "postgresql-contrib")
    yield system_packages(host, "postgres", ("postgresql",), rhel, PostgresServer)
    yield PostgresCluster(name, port=0 if port == database_host.Settings.postgres_port else port)
    yield PostgresComeback(name)
    has_clients = host.in_group(DATABASES) and clients_of(host, site)
    if has_clients or settings.postgres_max_connections:
        listen = settings.postgres_listen if has_clients else ()
        yield PostgresSettings(name, listen, settings.postgres_max_connections)


def _rules(view: SiteHost, site: Site, cluster: str) -> Iterator[PostgresHbaRule]:
    """One rule for each address: a role to its database, with its password."""
    found = database_connection.connection(view, site)
    for source in sources(view):
        network = str(ipaddress.ip_network(source))
        name = f"{RULES}{found.database} from {network}"
        yield PostgresHbaRule(name, "host", found.database, found.user, network, METHOD, cluster=cluster)


def _firewall(host: SiteHost, sources: Sequence[str]) -> Iterator[Item]:
    """The port of Postgres, for these addresses alone; closed again where there are none."""
    if host.settings(firewall.Settings).firewall:
        port = host.settings(database_host.Settings).postgres_port
        ensure = "present" if sources else "absent"
        yield FirewallPort("prefect-postgres", port, "tcp", tuple(sources), "Postgres", ensure)


def keeps_data(host: SiteHost) -> bool:
    """Whether servers keep their data in a Postgres on this host, of its own or in a stack."""
    try:
        own = is_server(host) and any(database.kind(view) == "socket" for view in host.instances)
        return own or database_host.is_declared(host)
    except SettingsError:
        return True  # its own deploy reports it


ROLE = Role(
    "database",
    DATABASES,
    settings=(database_host.Settings,),
    owners="hosts with a Postgres that encamp manages",
    reads=keeps_data,
    applies_to=database_host.is_declared,
    expectations=expectations,
    resources=for_others,
    per_host=True,
)
