"""A port open in the firewall of a cloud."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from encamp.cloud.by_hand import Wish, commands
from encamp.cloud.firewall import CloudFirewall, Machine, firewall_of
from encamp.cloud.rules import Difference, Door, Rule, difference, wider
from encamp.cloud.step import ControllerResource, Undecided
from encamp.resources.base import Change, Refused, kind
from encamp.resources.firewall.opening import Network, parse_sources
from encamp.resources.system import Reader, System

#: Seconds until every server of the cloud knows of a new rule.
SETTLED_SECONDS = 30.0


@kind
class CloudIngress(ControllerResource):
    """A port of a machine open to some networks in its cloud's firewall, one rule for each.

    ``name`` marks encamp's rules, as FirewallPort does. ``cloud`` is the provider, ``host`` the host's name for texts,
    ``addresses`` those that the machine may be found by; ``instance``, ``group`` and ``region`` say it exactly. Rules
    that encamp did not make are never changed. ``ensure``: present or absent. Not ``guarded``: what is behind the port
    has no login, and a rule of others that lets everyone in is refused.
    """

    name: str
    cloud: str
    host: str
    addresses: tuple[str, ...]
    port: int
    sources: tuple[str, ...] = ()
    purpose: str = ""
    instance: str = ""
    group: str = ""
    region: str = ""
    ensure: str = "present"
    guarded: bool = True

    def check(self, host: Reader) -> list[Change]:
        firewall = self._firewall(host)
        door = self._door(firewall)
        with self._seen(firewall.machine):
            rules = firewall.rules()
        beyond = wider(door, rules) if self.ensure == "present" else []
        self._refuse_open(beyond)
        found = difference(door, rules)
        if found.add:
            with self._or_by_hand(firewall.machine):
                firewall.may_add(door, found.add, self._purpose)
        if found.is_none:
            for rule in beyond:
                host.note(f"port {self.port} is also open to {rule.network}, by {_origin(rule)}")
        return list(self._changes(found, door))

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        firewall = self._firewall(host)
        door = self._door(firewall)
        found = difference(door, firewall.rules())
        if found.add:
            with self._or_by_hand(firewall.machine):
                firewall.add(door, found.add, self._purpose)
        if found.share:
            firewall.share(door, found.share)
        if found.drop:
            firewall.drop(door, found.drop)
        host.wait_for(lambda: difference(door, firewall.rules()).is_none, SETTLED_SECONDS)

    def _refuse_open(self, beyond: Sequence[Rule]) -> None:
        """Raises Refused where the port is open to everyone and nothing asks for a login."""
        rule = next((rule for rule in beyond if rule.network.prefixlen == 0), None)
        if rule and not self.guarded:
            reason = f"port {self.port} of {self.host} is open to everyone, by {_origin(rule)}, and the API has no auth"
            raise Refused(reason, fix="remove that rule, or set auth: auto; expose_without_auth: true if it is meant")

    def _firewall(self, host: Reader) -> CloudFirewall:
        """Looked up anew: one object is made for the whole run, its results hold until something is changed."""
        machine = Machine(self.host, self.addresses, self.instance, self.group, self.region)
        with self._seen(machine):
            return host.once(f"cloud:{self.cloud}:{machine}", lambda: firewall_of(self.cloud, machine))

    def _door(self, firewall: CloudFirewall) -> Door:
        machine = firewall.machine
        return Door(f"encamp:{machine.instance}/{self.name}", machine.group, self.port, self._networks)

    @property
    def _networks(self) -> tuple[Network, ...]:
        return parse_sources(self.sources) if self.ensure == "present" else ()

    @contextlib.contextmanager
    def _seen(self, machine: Machine) -> Iterator[None]:
        """Let what cannot be read be left to the operator, unless the API has no auth: then nobody knows whether it is
        open to everyone. Raises Undecided, Refused."""
        try:
            with self._or_by_hand(machine):
                yield
        except Undecided as error:
            if self.guarded or self.ensure != "present":
                raise
            reason = f"port {self.port} of {self.host} may be open to everyone, and the API has no auth: {error.reason}"
            fix = "or set auth: auto; expose_without_auth: true if everyone may use it"
            raise Refused(reason, "its cloud's firewall cannot be read", f"{error.fix}\n{fix}") from None

    @contextlib.contextmanager
    def _or_by_hand(self, machine: Machine) -> Iterator[None]:
        """Add the command that opens the port to what is left to the operator."""
        try:
            yield
        except Undecided as error:
            wish = Wish(machine, self.name, self.port, self._networks)
            fix = (
                f"{error.fix}\nto open the port by hand:\n{commands(self.cloud, wish)}" if wish.networks else error.fix
            )
            raise Undecided(error.reason, error.cause, fix) from None

    @property
    def _purpose(self) -> str:
        return f"{self.purpose} on {self.host} (encamp)"

    def _changes(self, found: Difference, door: Door) -> list[Change]:
        opened = [Change(f"{door.group} {self.port}/tcp", "closed", f"open to {network}") for network in found.add]
        shared = [Change(f"{rule}", "for another host", "for this one, too") for rule in found.share]
        dropped = [Change(f"{rule}", after="removed") for rule in found.drop if len(rule.owners) == 1]
        left = [Change(f"{rule}", after="left to other hosts") for rule in found.drop if len(rule.owners) > 1]
        return [*opened, *shared, *dropped, *left]


def _origin(rule: Rule) -> str:
    return f"{rule}, which encamp made for another host" if rule.owners else f"{rule}, which is not encamp's"
