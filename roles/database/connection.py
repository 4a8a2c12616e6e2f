"""How an instance reaches its database: URL, TLS and pool, as Prefect and its driver get them."""

from __future__ import annotations

from collections.abc import Mapping

from encamp.errors import SettingsError
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.database import host as database_host
from roles.database import url as database_url
from roles.database.settings import Settings, kind, name, sqlite_file
from roles.database.url import Connection, Tls
from roles.prefect import runtime, versions
from roles.prefect.account import layout_of
from roles.prefect.groups import DATABASES
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version

#: Where Debian's and RHEL's Postgres listen without a network.
SOCKET_DIRECTORY = "/var/run/postgresql"
#: Keys of ``versions.NAMES`` that settings of ours stand for, whether they are set or not.
MANAGED = (
    *("database_pool_size", "database_max_overflow", "database_tls", "database_tls_ca_file"),
    *("database_tls_cert_file", "database_tls_key_file", "database_tls_check_hostname"),
)


def server_settings(host: SiteHost, site: Site) -> Mapping[str, str | Secret]:
    """Prefect's database settings, by the keys of ``versions.NAMES``. Raises SettingsError."""
    settings, values = host.settings(Settings), {"database_url": url(host, site)}
    if kind(host) == "sqlite":
        return values
    for key in ("database_pool_size", "database_max_overflow"):
        if getattr(settings, key) != getattr(Settings, key):
            _require(host, key)
            values[key] = str(getattr(settings, key))
    if tls(host, site) == "verify":
        values.update(_tls_settings(host))
    return values


def environment(host: SiteHost, site: Site) -> Mapping[str, str]:
    """Variables of the server that are not Prefect's: its driver reads these, in every release and every connection
    (seen with the drivers of 2.0.4, 2.7.12, 2.20.26 and 3.8.8).

    Prefect has no setting for encryption without a check of the certificate; before 3.4.12 it has none at all, and for
    a while its listener for notifications ignored them (``ssl`` in the URL breaks that listener: PrefectHQ/prefect
    issue 21023).
    """
    if kind(host) in ("sqlite", "socket") or tls(host, site) == "prefer":
        return {}
    mode, files = tls(host, site), tls_files(host)
    if mode != "verify":
        return {"PGSSLMODE": {"off": "disable"}.get(mode, mode)}
    if not files.ca:
        return {}  # the driver knows no trust store of the system; Prefect's own settings use it
    checked = host.settings(Settings).database_tls_check_hostname
    found = {"PGSSLMODE": "verify-full" if checked else "verify-ca", "PGSSLROOTCERT": files.ca}
    return {**found, "PGSSLCERT": files.cert, "PGSSLKEY": files.key} if files.cert else found


def url(host: SiteHost, site: Site) -> str | Secret:
    """The connection URL: a file in the instance's home, the service's own user over the socket, or a login elsewhere.

    Raises SettingsError.
    """
    if kind(host) == "sqlite":
        return f"sqlite+aiosqlite:///{sqlite_file(host)}"
    return connection(host, site).url()


def connection(host: SiteHost, site: Site) -> Connection:
    """How an instance reaches its Postgres. Raises SettingsError; for SQLite, ValueError."""
    settings, what = host.settings(Settings), kind(host)
    if what == "sqlite":
        raise ValueError("SQLite uses a file, not a connection")
    if what == "external":
        return _external(host, settings)
    if what == "socket":
        port = host.settings(database_host.Settings).postgres_port
        layout = layout_of(host)
        role = layout.own_name if runtime.is_chosen(host) else layout.user
        return Connection(role, None, SOCKET_DIRECTORY, port, name(host))
    db_host = database_host_of(host, site)
    where, port = database_host.address(db_host), db_host.settings(database_host.Settings).postgres_port
    return Connection(name(host), password(host, site), where, port, name(host))


def password(host: SiteHost, site: Site) -> Secret:
    """The password of the role on ``database_host``: the given one, or one that encamp generated."""
    settings = host.settings(Settings)
    return settings.database_password or site.generated(password_name(host))


def password_name(host: SiteHost) -> str:
    """The name of a generated password in the site's store."""
    return f"{host.settings(Settings).database_host}/postgres/{name(host)}"


def database_host_of(host: SiteHost, site: Site) -> SiteHost:
    """The host of the inventory that keeps the instance's Postgres; its own for a socket. Raises SettingsError."""
    wanted = host.settings(Settings).database_host or host.name
    if wanted == host.name:
        return host
    known = {db_host.name: db_host for db_host in site.in_group(DATABASES)}
    if wanted in known:
        return known[wanted]
    listed = ", ".join(known) or "none"
    raise SettingsError(
        f"database_host: {wanted} is not a host of the group {DATABASES} (its hosts: {listed})",
        f"add {wanted} to that group, or set database_url: to a Postgres that encamp does not manage",
        host.origin("database_host"),
    )


def tls(host: SiteHost, site: Site) -> Tls:
    """How a connection over a network is secured: as set, or else as the URL says."""
    tls = connection(host, site).tls
    return tls if tls and host.origin("database_tls") is None else host.settings(Settings).database_tls


@record
class TlsFiles:
    """Paths on the host; empty for what is not used."""

    ca: str = ""
    cert: str = ""
    key: str = ""


def tls_files(host: SiteHost) -> TlsFiles:
    """Where the instance's files for TLS with its database lie."""
    settings, config = host.settings(Settings), Layout(host.instance).config
    has_cert = bool(settings.database_cert_file)
    return TlsFiles(
        f"{config}/database-ca.pem" if settings.database_ca_file else "",
        f"{config}/database-cert.pem" if has_cert else "",
        f"{config}/database-key.pem" if has_cert else "",
    )


def _external(host: SiteHost, settings: Settings) -> Connection:
    """The Postgres of ``database_url``. Raises SettingsError, which does not repeat the URL."""
    assert settings.database_url is not None
    try:
        return database_url.parse(settings.database_url)
    except ValueError as error:
        problem, fix = error.args
        raise SettingsError(f"{host.name}: database_url {problem}", fix, host.origin("database_url")) from None


def _tls_settings(host: SiteHost) -> dict[str, str]:
    """Prefect's own settings for a checked certificate, where the release has them."""
    files, settings = tls_files(host), host.settings(Settings)
    version = prefect_version(host)
    if versions.setting("database_tls", version) is None:
        if not files.ca:
            raise SettingsError(
                f"{host.name}: database_tls: verify needs database_ca_file with Prefect {version}",
                f"set database_ca_file:, or use {versions.since('database_tls')} or later, which "
                "reads the host's trust store",
                host.origin("database_tls") or host.origin("database_url"),
            )
        return {}
    values = {"database_tls": "true", "database_tls_ca_file": files.ca, "database_tls_cert_file": files.cert}
    values["database_tls_key_file"] = files.key
    values["database_tls_check_hostname"] = str(settings.database_tls_check_hostname).lower()
    return {key: value for key, value in values.items() if value}


def _require(host: SiteHost, key: str) -> None:
    """Raises SettingsError where the host's release has no such setting."""
    version = prefect_version(host)
    if versions.setting(key, version) is None:
        fix = f"remove it, or use {versions.since(key)} or later"
        raise SettingsError(f"{host.name}: Prefect {version} has no {key}", fix, host.origin(key))
