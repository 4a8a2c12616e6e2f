"""A host of the inventory that keeps Postgres databases for servers on other hosts: what may be set for it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.prefect.groups import DATABASES

#: Postgres's own defaults.
MAX_CONNECTIONS = 100
RESERVED = 3


def _listen_addresses(value: Any) -> str | None:
    for word in value:
        try:
            ipaddress.ip_address(word)
        except ValueError:
            if word not in ("*", "localhost"):
                return f"{word!r} is neither an IP address to listen on nor *"
    return None


def _check_cluster(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value) else "is not the name of a cluster"


def check_name(value: str) -> str | None:
    """What is wrong with a name or an address of a host, if anything."""
    return None if not value or re.fullmatch(r"[A-Za-z0-9_.:-]+", value) else "is not a host name or address"


@record
class Settings:
    """Postgres on a host.

    For hosts of the group databases, and for servers with a Postgres of their own.
    """

    postgres_address: str = setting(
        "",
        "Name or address at which servers reach Postgres on this host. Empty: the host's address in the inventory.",
        check=check_name,
        example="10.0.0.5",
        per_host=True,
    )
    postgres_port: int = setting(
        5432,
        "Port of Postgres on this host. An existing cluster that uses another port is refused, not changed.",
        minimum=1,
        maximum=65535,
        per_host=True,
    )
    postgres_cluster: str = setting(
        "main",
        "Name of the Postgres cluster on this host. One of another name that the host has is used, with its port as "
        "postgres_port; encamp creates none beside it. RHEL has only main.",
        check=_check_cluster,
        example="prod",
        per_host=True,
    )
    postgres_listen: tuple[str, ...] = setting(
        ("*",),
        "Additional addresses on which Postgres listens for servers on other hosts. Access is controlled by "
        "pg_hba.conf and the firewall, which allow only these servers.",
        check=_listen_addresses,
        example="[10.0.0.5]",
        per_host=True,
    )
    postgres_max_connections: int = setting(
        0,
        "Raises Postgres's max_connections to this number; it is never lowered. Requires a restart of Postgres. "
        "0: unchanged.",
        minimum=0,
        maximum=10000,
        per_host=True,
    )


def is_declared(host: SiteHost) -> bool:
    """Whether this host keeps databases for servers on other hosts."""
    return host.in_group(DATABASES)


def address(host: SiteHost) -> str:
    """Where servers reach Postgres on this host. Raises SettingsError when that is not known."""
    found = host.settings(Settings).postgres_address or host.client_address
    if found:
        return found
    raise SettingsError(
        f"{host.name}: postgres_address is not set, and {host.inventory.address} is not an address "
        "that servers can use",
        "set postgres_address: <name or address of the database's host> for this host",
        host.origin("ansible_host"),
    )


def cluster(host: SiteHost) -> str:
    """The name of the Postgres cluster on this host."""
    return host.settings(Settings).postgres_cluster


def usable_connections(host: SiteHost) -> int:
    """Connections that Postgres on this host has for clients, according to the inventory."""
    return max(host.settings(Settings).postgres_max_connections or MAX_CONNECTIONS, RESERVED + 1) - RESERVED
