"""The zones of firewalld that clients come in by: those of sources, of interfaces, and the default."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, Iterator, Optional
from xml.etree import ElementTree

from encamp.resources.base import Failure
from encamp.resources.firewall.opening import Network, Opening
from encamp.resources.system import Reader
from encamp.shared.record import record

FOLDERS = ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
BUS = "org.fedoraproject.FirewallD1"
ASK = ("busctl", "--system", "--auto-start=no", "--json=short", "call", BUS, "/org/fedoraproject/FirewallD1")
#: Interfaces that no client of this host's network comes in by.
INNER = re.compile(r"lo|(docker|virbr|cni|podman|veth|br-).*")
ACCEPT, DENY = "ACCEPT", ("DROP", "%%REJECT%%", "REJECT")


@record
class Zone:
    """A zone in use: its name, its interfaces, and the sources that are bound to it."""

    name: str
    interfaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def of_clients(host: Reader, opening: Opening) -> list[str]:
    """The zones in which to open. One that accepts everything needs nothing, one that denies its sources is kept."""
    zones = _active(host)
    taken = {interface for zone in zones for interface in zone.interfaces}
    outer = [name for name in host.listdir("/sys/class/net") if not INNER.fullmatch(name)]
    found = [zone.name for zone in zones if any(not INNER.fullmatch(name) for name in zone.interfaces)]
    if not set(outer) <= taken or not outer:
        found.append(default(host))
    found += [zone.name for zone in zones if _bound(zone, opening) and target(host, zone.name) not in DENY]
    return [name for name in dict.fromkeys(found) if target(host, name) != ACCEPT]


def denials(host: Reader, opening: Opening) -> Iterator[str]:
    """What the owner denies to clients of the opening: the sources of a zone, or by rich rules, which go first."""
    for zone in _active(host):
        if _bound(zone, opening) and target(host, zone.name) in DENY:
            yield f"firewalld's zone {zone.name} denies {', '.join(zone.sources)}"
    for name in of_clients(host, opening):
        root = file(host, name)
        for rule in () if root is None else root.findall("rule"):
            who = _denied(rule, opening)
            if who:
                yield f"a rich rule in firewalld's zone {name} denies {who}"


def default(host: Reader) -> str:
    """The zone of interfaces and sources that are in no other."""
    for line in (host.read("/etc/firewalld/firewalld.conf") or b"").decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "DefaultZone":
            return value.strip()
    return "public"


def target(host: Reader, zone: str) -> str:
    """What a zone does with packets that none of its rules is for; empty: it rejects them."""
    root = file(host, zone)
    return "" if root is None else root.get("target", "")


def file(host: Reader, zone: str) -> Optional[ElementTree.Element]:
    """The permanent configuration of a zone: the owner's file, or else the package's. Raises Failure."""
    texts = (host.read(f"{folder}/{zone}.xml") for folder in FOLDERS)
    text = next((text for text in texts if text is not None), None)
    return None if text is None else parse(zone, text)


def parse(zone: str, text: bytes) -> ElementTree.Element:
    """A zone's file. Raises Failure where it is not XML."""
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        fix = "run `firewall-cmd --check-config`"
        raise Failure(f"firewalld's file for zone {zone} is not XML: {error}", fix=fix) from error


def ask(host: Reader, method: str, *arguments: str) -> dict[str, Any]:
    """An answer of the running firewalld about its zones. Raises Failure."""
    result = host.query([*ASK, f"{BUS}.zone", method, *arguments])
    if not result.ok:
        fix = "run `systemctl restart firewalld`"
        raise Failure("firewalld runs but does not answer over D-Bus", fix=fix, detail=result.tail)
    answer: dict[str, Any] = json.loads(result.out)["data"][0]
    return answer


def _active(host: Reader) -> list[Zone]:
    """The zones that are in use now, in the order in which firewalld looks at them."""

    def read() -> list[Zone]:
        found = ask(host, "getActiveZones").items()
        zones = (
            Zone(name, tuple(bound.get("interfaces", ())), tuple(bound.get("sources", ()))) for name, bound in found
        )
        return sorted(zones, key=lambda zone: zone.name)

    return host.once("firewalld:active zones", read)


def _bound(zone: Zone, opening: Opening) -> bool:
    """Whether a source of the zone may be a client. An ipset or a MAC address may be any."""
    return any(_overlaps(source, opening) for source in zone.sources)


def _overlaps(source: str, opening: Opening) -> bool:
    network = _network(source)
    return network is None or any(
        network.version == other.version and network.overlaps(other) for other in opening.networks
    )


def _network(source: str) -> Optional[Network]:
    try:
        return ipaddress.ip_network(source, strict=False)
    except ValueError:
        return None


def _denied(rule: ElementTree.Element, opening: Opening) -> str:
    """Whom a rich rule denies the opening's port; empty: nobody."""
    parts = {child.tag: child for child in rule}
    port = parts.get("port")
    right_port = port is not None and port.get("protocol") == opening.protocol and port.get("port") == str(opening.port)
    if not {"reject", "drop"} & set(parts) or not (right_port or not {"port", "service", "protocol"} & set(parts)):
        return ""
    source = parts.get("source")
    who = "" if source is None else source.get("address") or source.get("ipset") or source.get("mac") or ""
    return (who if _overlaps(who, opening) else "") if who else "everyone"
