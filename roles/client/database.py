"""Clients that write to the server's Postgres themselves (client_mode: database), each flow by a temporary API."""

from __future__ import annotations

from pathlib import Path

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.support.paths import locate
from roles.database import connection as database_connection
from roles.database import settings as database
from roles.database import url as database_url
from roles.database.url import Connection, Tls
from roles.network import firewall

FIX = (
    "set database_host: or database_url: for {server}, give clients a login with client_database_url:, "
    "or set client_mode: hosted"
)


@record
class Settings:
    """Clients that write to the database.

    For clients with client_mode: database.
    """

    client_database_url: Secret | None = setting(
        None,
        "Connection URL for clients with client_mode: database, if it differs from the server's: "
        "postgresql://user:password@host:port/database, percent-encoded.",
        example="{env: CLIENT_DATABASE_URL}",
    )
    client_database_connections: int = setting(
        5,
        "Maximum number of database connections for the temporary API of one flow (client_mode: database).",
        minimum=2,
        maximum=100,
    )
    client_database_sources: tuple[str, ...] = setting(
        (),
        "For a server: networks from which clients may log in to its database on database_host "
        "(client_mode: database).",
        check=firewall.check_networks,
        example="[10.1.0.0/16]",
    )


@record
class Target:
    """The Postgres that a client uses. ``managed``: a server of this site keeps its tables. ``ca``: PEM, or empty."""

    connection: Connection
    tls: Tls
    ca: str = ""
    check_hostname: bool = True
    managed: bool = False
    #: Said of a login that is refused by address: who can mend it.
    way_in: str = ""


def needs_server(host: SiteHost) -> bool:
    """Whether the URL comes from a server of the site."""
    return host.settings(Settings).client_database_url is None


def target(host: SiteHost, server: SiteHost | None, site: Site) -> Target:
    """Where a client's flow runs are to be written. Raises SettingsError for what no other machine can use."""
    given = host.settings(Settings).client_database_url
    if given is not None:
        return _given(host, given, server, site)
    assert server is not None
    where = host.origin("client_mode")
    what = database.kind(server)
    fix = FIX.format(server=server.name)
    if what == "sqlite":
        reason = f"{server.name} uses database: sqlite, a file that other machines cannot share"
        raise SettingsError(f"{host.name}: client_mode: database needs Postgres; {reason}", fix, where)
    found = database_connection.connection(server, site)
    if what == "socket" or found.host.startswith("/"):
        reason = f"{server.name} uses Postgres through a local socket, which other hosts cannot reach"
        raise SettingsError(f"{host.name}: client_mode: database: {reason}", fix, where)
    _refuse_own_certificate(host, server)
    settings = server.settings(database.Settings)
    return Target(
        found,
        database_connection.tls(server, site),
        _read_ca(server, settings.database_ca_file),
        settings.database_tls_check_hostname,
        managed=True,
        way_in=f"set client_database_sources: for {server.name} and deploy" if what == "network" else "",
    )


def _given(host: SiteHost, url: Secret, server: SiteHost | None, site: Site) -> Target:
    """The URL that is meant for clients alone. Where it leads to the server's own Postgres, TLS is as for the server,
    unless the URL says otherwise."""
    try:
        found = database_url.parse(url)
    except ValueError as error:
        problem, fix = error.args
        where = host.origin("client_database_url")
        raise SettingsError(f"{host.name}: client_database_url {problem}", fix, where) from None
    if found.host.startswith("/"):
        raise SettingsError(
            f"{host.name}: client_database_url is a socket, which other hosts cannot reach",
            "use the name or address of the database host",
            host.origin("client_database_url"),
        )
    if server is None or not _is_servers_own(found, server, site):
        return Target(found, found.tls or "prefer", managed=server is not None)
    secured, settings = database_connection.tls(server, site), server.settings(database.Settings)
    ca = _read_ca(server, settings.database_ca_file)
    return Target(found, found.tls or secured, ca, settings.database_tls_check_hostname, managed=True)


def _is_servers_own(found: Connection, server: SiteHost, site: Site) -> bool:
    """Whether a URL leads to the Postgres that a server reaches over the network."""
    if database.kind(server) not in ("network", "external"):
        return False
    return found.cluster == database_connection.connection(server, site).cluster


def _refuse_own_certificate(host: SiteHost, server: SiteHost) -> None:
    if server.settings(database.Settings).database_cert_file:
        raise SettingsError(
            f"{host.name}: client_mode: database: {server.name} authenticates to Postgres with a "
            "client certificate, whose key "
            "must not be copied to clients",
            "give clients their own login with client_database_url:, or set client_mode: hosted",
            server.origin("database_cert_file"),
        )


def _read_ca(server: SiteHost, name: str) -> str:
    """The CA of Postgres's certificate. Raises SettingsError."""
    if not name:
        return ""
    path = Path(locate(name, server.inventory.directory))
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        where = server.origin("database_ca_file")
        raise SettingsError(f"database_ca_file: {path}: {error}", "use a PEM file on this machine", where) from None


def settings(found: Target, host: SiteHost, ca_file: str) -> dict[str, str | Secret]:
    """What the profile holds, by the keys of ``versions.NAMES``.

    A server of this site keeps the tables: then no client migrates them, whatever its release.
    """
    connections = host.settings(Settings).client_database_connections
    values: dict[str, str | Secret] = {
        "database_url": found.connection.url(),
        "database_pool_size": str(connections),
        "database_max_overflow": "0",
        "database_application_name": f"prefect client {host.name}",
        "ephemeral": "true",
        "ephemeral_timeout": "60",
        "analytics": "false",
    }
    if found.managed:
        values["database_migrate_on_start"] = "false"
    if found.tls == "verify":
        values |= {"database_tls": "true", "database_tls_check_hostname": str(found.check_hostname).lower()}
        values |= {"database_tls_ca_file": ca_file} if ca_file else {}
    return values
