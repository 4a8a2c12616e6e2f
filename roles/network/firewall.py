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
from roles.network import address, cloud_settings, tls
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
        "Networks that may reach the port. Empty: all. Needs an active firewall on the host, or cloud: aws.",
        check=check_networks,
        example="[10.0.0.0/8]",
    )


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
    settings = host.settings(Settings)
    _refuse_vain_sources(host)
    limit(host)
    if settings.firewall:
        yield from openings(host)
        if not _redirects(host) and host.origin("tls"):
            yield FirewallPort(_redirect_name(host), address.HTTP_PORT, ensure="absent")


def _refuse_vain_sources(host: SiteHost) -> None:
    """Raises SettingsError for sources that nothing enforces: they would seem to protect the API."""
    settings = host.settings(Settings)
    if settings.allowed_sources and not settings.firewall and not cloud_settings.limits_sources(host):
        reason = f"{host.name}: allowed_sources has no effect with firewall: false"
        raise SettingsError(reason, "remove one of them", host.origin("allowed_sources"))


def openings(host: SiteHost) -> Iterator[FirewallPort]:
    """The ports that clients use, each with the networks that may reach it (none: all), whatever enforces that."""
    settings = host.settings(Settings)
    _, port = address.outside(host)
    name = rule_name(Layout(host.instance))
    yield FirewallPort(name, port, sources=settings.allowed_sources, purpose="Prefect API and UI")
    if _redirects(host):
        yield FirewallPort(_redirect_name(host), address.HTTP_PORT, sources=_askers(host), purpose="redirects to https")


def rule_name(layout: Layout) -> str:
    """The name of the rule for an instance's API and UI."""
    return f"prefect-{layout.name}"


def _redirect_name(host: SiteHost) -> str:
    """The name of the rule for port 80."""
    return f"{rule_name(Layout(host.instance))}-http"


def _redirects(host: SiteHost) -> bool:
    return tls.is_on(host) and tls.redirects(host)


def _askers(host: SiteHost) -> tuple[str, ...]:
    """Who is redirected. An ACME server asks there, from wherever it is."""
    acme = host.settings(address.Settings).tls == "acme"
    return () if acme else host.settings(Settings).allowed_sources
