"""Whose a rule is, which are missing, and which of others open a port. No cloud is asked here."""

from __future__ import annotations

from collections.abc import Sequence

from encamp.resources.firewall.opening import Network
from encamp.shared.record import record


@record
class Door:
    """A port that some networks may reach, through one firewall of a machine.

    ``owner`` marks encamp's rules for it: the machine and the name of the opening.
    """

    owner: str
    group: str
    port: int
    networks: tuple[Network, ...]


@record
class Rule:
    """What lets one network in, at the ports ``first`` to ``last``. ``only_tcp``: no other protocol.

    ``owners``: the doors of encamp that it is for; none for a rule that encamp did not make.
    """

    id: str
    group: str
    network: Network
    first: int
    last: int
    only_tcp: bool = True
    owners: tuple[str, ...] = ()

    def is_made_for(self, door: Door, network: Network) -> bool:
        """Whether it is exactly what encamp would add."""
        here = (self.group, self.network, self.first, self.last, self.only_tcp)
        return here == (door.group, network, door.port, door.port, True)

    def opens(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"rule {self.id} of {self.group} ({self.network}, port {ports})"


@record
class Difference:
    """What to do: networks to let in by new rules, rules of other doors to share, and rules to give up."""

    add: tuple[Network, ...]
    share: tuple[Rule, ...]
    drop: tuple[Rule, ...]

    @property
    def is_none(self) -> bool:
        return not (self.add or self.share or self.drop)


def difference(door: Door, rules: Sequence[Rule]) -> Difference:
    """How the rules of a machine differ from a door. A rule of others that lets a network in counts as open."""
    held = [rule for rule in rules if door.owner in rule.owners]
    kept = [rule for rule in held if any(rule.is_made_for(door, network) for network in door.networks)]
    add, share = [], []
    for network in door.networks:
        if any(rule.network == network for rule in kept):
            continue
        same = [rule for rule in rules if rule.owners and rule.is_made_for(door, network)]
        if same:
            share.append(same[0])
        elif not _is_open(door.port, network, rules):
            add.append(network)
    return Difference(tuple(add), tuple(share), tuple(rule for rule in held if rule not in kept))


def wider(door: Door, rules: Sequence[Rule]) -> list[Rule]:
    """Rules that are not this door's and let in more than it."""
    others = [rule for rule in rules if door.owner not in rule.owners and rule.opens(door.port)]
    return [rule for rule in others if not any(_within(rule.network, network) for network in door.networks)]


def _is_open(port: int, network: Network, rules: Sequence[Rule]) -> bool:
    return any(rule.opens(port) and _within(network, rule.network) for rule in rules if not rule.owners)


def _within(inner: Network, outer: Network) -> bool:
    if inner.version != outer.version:
        return False
    return inner.subnet_of(outer)  # type: ignore[arg-type]
