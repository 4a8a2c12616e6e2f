"""firewalld: its rules have no comments, so a file on the host records which of them are encamp's."""

from __future__ import annotations

import json
from typing import Iterable, Iterator
from xml.etree import ElementTree

from encamp.resources.base import Change
from encamp.resources.firewall import zones
from encamp.resources.firewall.opening import EVERYWHERE, Opening, address
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state
from encamp.shared.record import record

RECORDS = "/etc/encamp/firewalld"


@record
class Rule:
    """A port or a rich rule in a zone. ``text`` is in firewall-cmd's syntax: 4200/tcp, or the rich rule."""

    zone: str
    kind: str
    text: str

    def option(self, verb: str) -> str:
        """The option of firewall-cmd that adds or removes this rule. ``verb``: add or remove."""
        return f"--{verb}-{self.kind}={self.text}"


class Firewalld:
    """The back end for firewalld: rules in the zones that clients come in by, permanent and running.

    The permanent configuration is read from its files, the running one over D-Bus: firewall-cmd takes half a second a
    call, so it runs only for changes. Never reloads firewalld: that would drop rules the owner added at run time.
    """

    manages_nftables = True

    def active(self, host: Reader, opening: Opening) -> bool:
        return bool(host.which("firewall-cmd")) and unit_state(host, "firewalld.service").active

    def check(self, host: Reader, opening: Opening) -> list[Change]:
        if not host.which("firewall-cmd"):
            return []
        changes = [Change("firewalld", after=f"remove the old rule {rule.text}") for rule in _stale(host, opening)]
        wanted = set(_wanted(host, opening))
        if wanted - _permanent(host, wanted):
            changes.append(Change("firewalld, permanent", "missing", str(opening)))
        if self.active(host, opening) and wanted - _running(host, wanted):
            changes.append(Change("firewalld, running", "missing", str(opening)))
        return changes

    def apply(self, host: System, opening: Opening) -> None:
        stale, wanted, owned = _stale(host, opening), _wanted(host, opening), _owned(host, opening)
        permanent, active = _permanent(host, wanted), self.active(host, opening)
        running = _running(host, wanted) if active else set()
        # Rules of the owner stay the owner's. The record is written first, so that a killed run leaves no unknown rule.
        ours = [rule for rule in wanted if rule in owned or rule not in permanent]
        _record(host, opening, [*stale, *ours])
        # Removing a missing rule is only a warning in firewalld.
        permanently = ["firewall-cmd", "--permanent"] if active else ["firewall-offline-cmd"]
        _change(host, permanently, "remove", stale)
        _change(host, permanently, "add", [rule for rule in wanted if rule not in permanent])
        if active:
            _change(host, ["firewall-cmd"], "remove", stale)
            _change(host, ["firewall-cmd"], "add", [rule for rule in wanted if rule not in running])
        _record(host, opening, ours)

    def refuse(self, host: Reader, opening: Opening) -> None:
        """Its rules stand beside those of the owner, and replace none."""

    def denials(self, host: Reader, opening: Opening) -> list[str]:
        return list(zones.denials(host, opening)) if self.active(host, opening) else []


def _wanted(host: Reader, opening: Opening) -> list[Rule]:
    if not opening.networks:
        return []
    texts = [("port", f"{opening.port}/{opening.protocol}")]
    if not opening.anywhere:
        texts = [("rich-rule", text) for text in _rich_rules(opening)]
    return [Rule(zone, *text) for zone in zones.of_clients(host, opening) for text in texts]


def _rich_rules(opening: Opening) -> Iterator[str]:
    for network in opening.networks:
        source = "" if network in EVERYWHERE else f' source address="{address(network)}"'
        port = f'port port="{opening.port}" protocol="{opening.protocol}"'
        yield f'rule family="ipv{network.version}"{source} {port} accept'


def _stale(host: Reader, opening: Opening) -> list[Rule]:
    wanted = _wanted(host, opening)
    return [rule for rule in _owned(host, opening) if rule not in wanted]


def _change(host: System, program: list[str], verb: str, rules: list[Rule]) -> None:
    """Add or remove rules, with one call for each zone: a call takes half a second."""
    for zone in dict.fromkeys(rule.zone for rule in rules):
        host.run([*program, f"--zone={zone}", *(rule.option(verb) for rule in rules if rule.zone == zone)])


# -- the record of encamp's rules -----------------------------------------------------------------------------------


def _owned(host: Reader, opening: Opening) -> list[Rule]:
    """Rules that encamp added under this name."""
    text = host.read(f"{RECORDS}/{opening.name}.json")
    return [Rule(*entry) for entry in json.loads(text)["rules"]] if text else []


def _record(host: System, opening: Opening, rules: list[Rule]) -> None:
    path = f"{RECORDS}/{opening.name}.json"
    if not rules:
        host.remove(path)
        for directory in (RECORDS, RECORDS.rpartition("/")[0]):
            if not host.listdir(directory):
                host.remove(directory)
        return
    about = "Rules that encamp added to firewalld. It removes these, and no others, when they are no longer wanted."
    entries = [[rule.zone, rule.kind, rule.text] for rule in dict.fromkeys(rules)]
    host.mkdir(RECORDS)
    host.write(path, json.dumps({"about": about, "purpose": opening.purpose, "rules": entries}, indent=2) + "\n")


# -- firewalld's own rules -------------------------------------------------------------------------------------------


def _permanent(host: Reader, wanted: Iterable[Rule]) -> set[Rule]:
    """Ports and rich rules that accept one port, from the zone files of the permanent configuration."""

    def read(zone: str) -> set[Rule]:
        root = zones.file(host, zone)
        return set() if root is None else rules_of(zone, root)

    names = dict.fromkeys(rule.zone for rule in wanted)
    return {rule for zone in names for rule in host.once(f"firewalld:permanent {zone}", lambda z=zone: read(z))}  # type: ignore[misc]


def rules_of(zone: str, root: ElementTree.Element) -> set[Rule]:
    """The rules of a zone's file: its ports, and the rich rules that only accept one port."""
    ports = {Rule(zone, "port", f"{port.get('port')}/{port.get('protocol')}") for port in root.findall("port")}
    rich = (_rich_rule(element) for element in root.findall("rule"))
    return ports | {Rule(zone, "rich-rule", text) for text in rich if text}


def _rich_rule(element: ElementTree.Element) -> str:
    """The text of a rich rule that accepts one port from one source; empty for any other rule."""
    parts = {child.tag: child for child in element}
    if not {"port", "accept"} <= set(parts) <= {"port", "accept", "source"} or set(element.attrib) - {"family"}:
        return ""
    family = f' family="{element.get("family")}"' if element.get("family") else ""
    port = f'port port="{parts["port"].get("port")}" protocol="{parts["port"].get("protocol")}"'
    source = ""
    if "source" in parts:
        if set(parts["source"].attrib) != {"address"}:
            return ""
        source = f' source address="{parts["source"].get("address")}"'
    return f"rule{family}{source} {port} accept"


def _running(host: Reader, wanted: Iterable[Rule]) -> set[Rule]:
    """Ports and rich rules of the running configuration."""

    def ask(zone: str) -> set[Rule]:
        settings = zones.ask(host, "getZoneSettings2", "s", zone)
        ports = settings.get("ports", {}).get("data", [])
        rich = settings.get("rules_str", {}).get("data", [])
        return {Rule(zone, "port", f"{port}/{protocol}") for port, protocol in ports} | {
            Rule(zone, "rich-rule", text) for text in rich
        }

    names = dict.fromkeys(rule.zone for rule in wanted)
    return {rule for zone in names for rule in host.once(f"firewalld:running {zone}", lambda z=zone: ask(z))}  # type: ignore[misc]
