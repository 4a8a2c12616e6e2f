"""What a provider's file offers: the firewall of one machine."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol

from encamp.cloud.rules import Door, Rule
from encamp.resources.firewall.opening import Network
from encamp.shared.record import record


@record
class Machine:
    """Which machine of a cloud: the host's name for texts, addresses that it may be found by, and what the inventory
    says of it. ``group`` is its firewall, ``region`` where the cloud has it."""

    host: str
    addresses: tuple[str, ...] = ()
    instance: str = ""
    group: str = ""
    region: str = ""


class CloudFirewall(Protocol):
    """The firewall of a machine, which is known whole: ``group`` is where rules are made.

    Every method raises Undecided where rights or credentials are missing, Failure otherwise.
    """

    @property
    def machine(self) -> Machine: ...

    def rules(self) -> list[Rule]:
        """All that lets packets of TCP in, of this firewall and of others that the machine has."""
        ...

    def may_add(self, door: Door, networks: Sequence[Network], purpose: str) -> None:
        """Return where :meth:`add` would be permitted. Changes nothing."""
        ...

    def add(self, door: Door, networks: Sequence[Network], purpose: str) -> None:
        """One rule for each network, marked as the door's."""
        ...

    def share(self, door: Door, rules: Sequence[Rule]) -> None:
        """Mark rules of other doors as this one's, too."""
        ...

    def drop(self, door: Door, rules: Sequence[Rule]) -> None:
        """Remove rules; of those that other doors share only the mark."""
        ...


#: The clouds whose firewalls encamp changes: the module of each, and the package that it needs.
PROVIDERS = {"aws": ("encamp.cloud.aws", "boto3")}


def firewall_of(cloud: str, machine: Machine) -> CloudFirewall:
    """The firewall of a machine. Raises Undecided, Failure."""
    module, _ = PROVIDERS[cloud]
    found: CloudFirewall = importlib.import_module(module).find(machine)
    return found
