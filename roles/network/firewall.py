"""The server's port, opened on whichever firewall is at work on the host."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.resources.firewall.opening import parse_sources
from encamp.resources.firewall.port import FirewallPort
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import Site, SiteHost
from roles.network import address, tls
from roles.network.kinds.exposure import BOTH
from roles.prefect.layout import Layout


def check_networks(value: Any) -> str | None:
    """What is wrong with a list of networks, if anything."""
    for item in value:
        try:
            ipaddress.ip_network(item)
        except ValueError:
            return f"{item!r} is not a network such as 10.0.0.0/8 or 192.0.2.7{_meant(item)}"
    return None


def _meant(item: str) -> str:
    """The network that an address with a prefix length belongs to, where that is the mistake."""
    try:
        return f"; {ipaddress.ip_network(item, strict=False)} is"
    except ValueError:
        return ""


@record
class Settings:
    """Firewall."""

    firewall: bool = setting(True, "Open the server's port on the host's active firewall (ufw, firewalld or nftables).")
    allowed_sources: tuple[str, ...] = setting(
        (),
        "Networks that may reach the port. Empty: all. Has no effect without an active firewall on the host.",
        check=check_networks,
        example="[10.0.0.0/8]",
    )

    def __post_init__(self) -> None:
        if self.allowed_sources and not self.firewall:
            raise ValueError("allowed_sources has no effect with firewall: false; remove one of them")


def limit(host: SiteHost) -> tuple[str, ...]:
    """The networks that alone may reach the port; empty where everyone may.

    Raises SettingsError for sources none of which is of the IP version that the server listens with.
    """
    sources, bind = host.settings(Settings).allowed_sources, address.outside(host)[0]
    versions = (4, 6) if bind == BOTH else (6,) if ":" in bind else (4,)
    networks = [network for network in parse_sources(sources) if network.version in versions]
    if not networks:
        raise SettingsError(
            f"{host.name}: allowed_sources allows no client: the server listens on {bind}",
            "use networks of that IP version",
            host.origin("allowed_sources"),
        )
    return () if any(network.prefixlen == 0 for network in networks) else sources


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """The port of the API and UI. Rules that are not ours are left alone."""
    settings, layout = host.settings(Settings), Layout(host.instance)
    limit(host)
    if settings.firewall:
        _, port = address.outside(host)
        yield FirewallPort(
            f"prefect-{layout.name}", port, sources=settings.allowed_sources, purpose="Prefect API and UI"
        )
        yield from _redirect_port(host, layout)


def _redirect_port(host: SiteHost, layout: Layout) -> Iterator[Item]:
    """Port 80 for redirects to https. An ACME server asks there, from wherever it is."""
    asked = host.settings(address.Settings).tls == "acme"
    sources = () if asked else host.settings(Settings).allowed_sources
    name, purpose = f"prefect-{layout.name}-http", "redirects to https"
    if tls.is_on(host) and tls.redirects(host):
        yield FirewallPort(name, address.HTTP_PORT, sources=sources, purpose=purpose)
    elif host.origin("tls"):
        yield FirewallPort(name, address.HTTP_PORT, ensure="absent")
