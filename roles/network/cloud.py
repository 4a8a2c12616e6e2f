"""The server's ports in the firewall of its cloud, which stands before the host's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from encamp.cloud.by_hand import Wish, commands
from encamp.cloud.firewall import PROVIDERS, Machine
from encamp.cloud.ingress import CloudIngress
from encamp.cloud.reach import ReachableFromHere
from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.resources.firewall.opening import parse_sources
from encamp.resources.firewall.port import FirewallPort
from encamp.site import Site, SiteHost
from roles.network import access, address, firewall
from roles.network.cloud_settings import Settings, is_private
from roles.network.kinds.exposure import BOTH
from roles.prefect.layout import Layout

#: Any will do: a rule to remove is found by its name.
SOME_PORT = 4200


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """What the server's ports need in its cloud. Raises SettingsError."""
    settings = host.settings(Settings)
    if settings.cloud == "none":
        return
    openings = [] if is_private(host) else list(firewall.openings(host))
    if settings.cloud in PROVIDERS:
        _check_package(host)
        for opening in openings if settings.cloud_ingress else ():
            yield _rule(host, opening, _is_guarded(host, site, opening))
        if not (openings and settings.cloud_ingress):
            yield from undeploy(host, host.instance)
        elif len(openings) == 1 and host.origin("tls"):
            yield _rule(host, FirewallPort(f"{openings[0].name}-http", address.HTTP_PORT, ensure="absent"))
    for opening in openings[:1]:
        yield _proof(host, opening)


def undeploy(host: SiteHost, instance: str) -> Iterator[Item]:
    """Rules that encamp made for an instance are removed."""
    if host.settings(Settings).cloud in PROVIDERS:
        _check_package(host)
        name = firewall.rule_name(Layout(instance))
        for each in (name, f"{name}-http"):
            yield _rule(host, FirewallPort(each, SOME_PORT, ensure="absent"))


def _rule(host: SiteHost, opening: FirewallPort, guarded: bool = True) -> CloudIngress:
    machine, settings = _machine(host), host.settings(Settings)
    sources = _sources(host, opening) if opening.ensure == "present" else ()
    return CloudIngress(
        opening.name,
        settings.cloud,
        machine.host,
        machine.addresses,
        opening.port,
        sources,
        opening.purpose,
        machine.instance,
        machine.group,
        machine.region,
        opening.ensure,
        guarded,
    )


def _machine(host: SiteHost) -> Machine:
    settings, given = host.settings(Settings), host.settings(address.Settings).public_url
    addresses = [] if host.inventory.local else [host.inventory.address]
    addresses += [address.public(host).host] if given else []
    known = tuple(dict.fromkeys(addresses))
    return Machine(host.name, known, settings.cloud_instance, settings.cloud_security_group, settings.cloud_region)


def _sources(host: SiteHost, opening: FirewallPort) -> tuple[str, ...]:
    """The networks of an opening, of the versions of IP that the server listens with."""
    bind = address.outside(host)[0]
    versions = (4, 6) if bind == BOTH else (6,) if ":" in bind else (4,)
    return tuple(str(network) for network in parse_sources(opening.sources) if network.version in versions)


def _check_package(host: SiteHost) -> None:
    """Raises SettingsError where the cloud's library is missing on this machine."""
    cloud = host.settings(Settings).cloud
    _, package = PROVIDERS[cloud]
    if importlib.util.find_spec(package) is None:
        reason = f"{host.name}: cloud: {cloud} needs the Python package {package} on this machine"
        raise SettingsError(reason, f"pip install 'encamp[{cloud}]'", host.origin("cloud"))


def _is_guarded(host: SiteHost, site: Site, opening: FirewallPort) -> bool:
    """Whether everyone may reach an opening. Raises SettingsError for an API that the rule would open without auth.

    Port 80 of the proxy only redirects.
    """
    redirect = opening.port == address.HTTP_PORT != address.outside(host)[1]
    meant = redirect or host.settings(access.Settings).expose_without_auth or access.auth(host, site) is not None
    if not meant and any(network.prefixlen == 0 for network in parse_sources(opening.sources)):
        reason = f"{host.name}: the cloud's firewall would let everyone reach the API, which has no auth"
        raise SettingsError(reason, f"set {access.MEANT}", host.origin("cloud"))
    return meant


def _proof(host: SiteHost, opening: FirewallPort) -> ReachableFromHere:
    """Whether clients' address answers; if not, the command that opens the port."""
    public, settings = address.public(host), host.settings(Settings)
    networks = parse_sources(_sources(host, opening))
    by_hand = (
        ""
        if settings.cloud in PROVIDERS
        else commands(settings.cloud, Wish(_machine(host), opening.name, opening.port, networks))
    )
    return ReachableFromHere(opening.name, public.host, public.port, host.name, by_hand, opening.sources)
