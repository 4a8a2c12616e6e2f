"""Where an instance keeps its data."""

from __future__ import annotations

import re
from typing import Literal

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import SiteHost
from roles.database import url as database_url
from roles.database.host import check_name
from roles.database.url import Tls
from roles.prefect import runtime
from roles.prefect.layout import Layout

#: What an instance's database is: a file, or a Postgres on its own host, on another of the inventory, or elsewhere.
Kind = Literal["sqlite", "socket", "network", "external"]
#: The superuser and the databases that each cluster has from the start.
_RESERVED = ("postgres", "template0", "template1")


def _check_database_name(value: str) -> str | None:
    """What is wrong with a database's name, which may be that of a role, too.

    SQLAlchemy takes a name as it stands in the URL, without decoding it: only letters that need none are left.
    """
    if len(value.encode()) > 63:
        return "longer than Postgres's 63 bytes"
    if value in _RESERVED or value.startswith("pg_"):
        return "reserved by Postgres"
    return None if re.fullmatch(r"[A-Za-z0-9_.-]*", value) else "must be letters, digits, dots, dashes and underscores"


@record
class Settings:
    """The database."""

    database: Literal["postgres", "sqlite"] = setting(
        "postgres",
        "postgres: on the same host, over its socket, without a password (or see database_host and database_url). "
        "sqlite: a file, for small workloads.",
    )
    database_host: str = setting(
        "",
        "Inventory host, in the group databases, that runs Postgres for this server. Empty: the server's own host.",
        example="db1",
    )
    database_url: Secret | None = setting(
        None,
        "Connection URL of a Postgres that encamp does not manage: postgresql://user:password@host:port/database, user "
        "and password percent-encoded.",
        example="{env: DATABASE_URL}",
    )
    database_name: str = setting(
        "",
        "Name of the database, and with database_host of its role. Empty: prefect, or prefect-<instance>.",
        check=_check_database_name,
        example="prefect-staging",
    )
    database_password: Secret | None = setting(
        None, "Password of the role on database_host. Not set: one is generated.", example="{file: secrets/database}"
    )
    database_shared: bool = setting(
        False, "Allows several servers to share this database. Requires Postgres 14.9 or later."
    )
    database_client_address: str = setting(
        "",
        "Source address of this host's connections as seen by database_host. Empty: its address in the inventory.",
        check=check_name,
        example="10.0.0.7",
    )
    database_tls: Tls = setting(
        "prefer",
        "prefer: TLS if Postgres offers it. require: TLS, or no connection. verify: like require, and Postgres's "
        "certificate is checked. off: never.",
    )
    database_ca_file: str = setting(
        "",
        "PEM file on the controller with the CA that signed Postgres's certificate, for "
        "database_tls: verify. Empty: the "
        "host's trust store.",
        example="files/database-ca.pem",
    )
    database_tls_check_hostname: bool = setting(
        True, "Whether the certificate must match the name or address of the connection (database_tls: verify)."
    )
    database_cert_file: str = setting(
        "", "PEM file on the controller with a client certificate for Postgres.", example="files/prefect.pem"
    )
    database_key: Secret | None = setting(
        None,
        "Private key of that certificate, PEM without a passphrase.",
        example="{file: secrets/prefect.key}",
        lines=True,
    )
    database_pool_size: int = setting(
        5, "Connections that each server process keeps open (pool size).", minimum=1, maximum=1000
    )
    database_max_overflow: int = setting(
        10,
        "Additional connections that each server process may open under load (pool overflow).",
        minimum=0,
        maximum=1000,
    )


def kind(host: SiteHost) -> Kind:
    """What the instance's database is. Raises SettingsError for settings that contradict each other."""
    settings = host.settings(Settings)
    _check_together(host, settings)
    if settings.database == "sqlite":
        return "sqlite"
    if settings.database_url is not None:
        return "external"
    return "network" if settings.database_host not in ("", host.name) else "socket"


def sqlite_file(host: SiteHost) -> str:
    """The database file of an instance with SQLite."""
    return f"{Layout(host.instance).home}/prefect.db"


def name(host: SiteHost) -> str:
    """The name of the database; on another host of the inventory also that of its role."""
    return host.settings(Settings).database_name or Layout(host.instance).database


def scheme(host: SiteHost) -> str:
    """The scheme of the connection URL: what a healthy server must be seen to use."""
    return "sqlite+aiosqlite" if host.settings(Settings).database == "sqlite" else database_url.DRIVER


def on_this_host(host: SiteHost) -> bool:
    """Whether the database is a Postgres on the server's own host."""
    return kind(host) == "socket"


def _check_together(host: SiteHost, settings: Settings) -> None:
    """Raises SettingsError for settings that contradict each other, or that would have no effect."""
    sqlite, given = settings.database == "sqlite", settings.database_url is not None
    managed = bool(settings.database_host) and not sqlite and not given
    problems = (
        (given and settings.database_host, "database_host", "contradicts database_url", "keep one of them"),
        (sqlite and given and _alike(host, "database_url"), "database", "sqlite contradicts database_url", ""),
        (
            sqlite and settings.database_host and _alike(host, "database_host"),
            "database",
            "sqlite contradicts database_host",
            "",
        ),
        (given and settings.database_name, "database_name", "has no effect: database_url names the database", ""),
        (settings.database_password and not managed, "database_password", "has an effect only with database_host", ""),
        (
            bool(settings.database_cert_file) != (settings.database_key is not None),
            "database_cert_file",
            "and database_key must be set together",
            "set both or neither",
        ),
    )
    for wrong, key, reason, fix in problems:
        if wrong and not (sqlite and key != "database"):
            where = host.origin(key) or host.origin("database_url") or host.origin("database_key")
            raise SettingsError(f"{host.name}: {key} {reason}", fix or "remove one of them", where)


def _alike(host: SiteHost, key: str) -> bool:
    """Whether ``key`` is set where ``database`` is: an instance's own ``sqlite`` overrides its host's Postgres."""
    return (key in host.own) == ("database" in host.own)


def has_postgres(host: SiteHost) -> bool:
    """Whether the instance runs as a stack with its own Postgres, which only it uses."""
    return runtime.is_chosen(host) and kind(host) == "socket"
