"""The server's port, opened on whichever firewall is at work on the host."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator
from typing import Any

from encamp.plan import Item
from encamp.resources.firewall_port import FirewallPort
from encamp.settings import setting
from encamp.site import Site, SiteHost
from roles import address
from roles.layout import Layout


def _networks(value: Any) -> str | None:
    for item in value:
        try:
            ipaddress.ip_network(item)
        except ValueError:
            return f"{item!r} is no network such as 10.0.0.0/8 or 192.0.2.7"
    return None


@dataclasses.dataclass(frozen=True)
class Settings:
    """Who may reach the server's port."""

    firewall: bool = setting(True, "Open the server's port on the host's active firewall (ufw, firewalld or nftables).")
    allowed_sources: tuple[str, ...] = setting(
        (), "Networks that may reach the port. Empty: everyone.", check=_networks, example="[10.0.0.0/8]"
    )


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """The port of the API and UI. Rules that are not ours are left alone."""
    settings, layout = host.settings(Settings), Layout(host.instance)
    if settings.firewall:
        port = host.settings(address.Settings).port
        yield FirewallPort(
            f"prefect-{layout.name}", port, sources=settings.allowed_sources, purpose="Prefect API and UI"
        )
