"""The fleet as roles see it: hosts with typed settings, and each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from encamp.errors import Origin
from encamp.inventory import instances
from encamp.inventory.host import Host
from encamp.inventory.load import Inventory
from encamp.planning.templates import SHIPPED, Templates
from encamp.secrets.store import FOLDER, Missing, SecretStore
from encamp.secrets.vault.values import with_types
from encamp.settings.read import HostSettings
from encamp.shared.secret import Secret

T = TypeVar("T")
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


class SiteHost:
    """A host of the inventory as one of its instances, with that instance's settings read on demand, each set once.

    A host without ``instances:`` has one, ``default``. ``own`` names the settings that the instance gives itself.
    ``fetch`` False: secrets are not fetched, and something else stands for each.
    """

    def __init__(self, host: Host, instance: str = "", siblings: Sequence[SiteHost] = (), fetch: bool = True) -> None:
        names = tuple(instances.names(host))
        self.instance = instance or names[0]
        self.own = instances.own_keys(host, self.instance)
        self.inventory = instances.applied(host, self.instance)
        self.name = host.name
        self.given_settings = HostSettings(self.inventory, fetch)
        self._fetch = fetch
        self.instances = siblings or self._family(host, names)

    def _family(self, host: Host, names: Sequence[str]) -> Sequence[SiteHost]:
        """One view of the host for each instance, in the order of the inventory; this one is the first."""
        family: list[SiteHost] = [self]
        for name in names[1:]:
            family.append(SiteHost(host, name, family, self._fetch))
        return family

    def settings(self, role: type[T]) -> T:
        """The typed settings of a role for this host. Raises SettingsError with file and line."""
        return self.given_settings.read(role)

    @property
    def adhoc(self) -> bool:
        """Whether the site lets hosts be deployed to that stand in no group."""
        value = self.inventory.variables.get("adhoc")
        return self.inventory.adhoc or (value is not None and with_types(value.data) is True)

    def origin(self, key: str) -> Origin | None:
        """Where a setting of this host was written; None when it has its default."""
        value = self.inventory.variables.get(key)
        return value.origin if value else None

    def in_group(self, group: str) -> bool:
        return group in self.inventory.groups

    @property
    def client_address(self) -> str:
        """The name or address that others would reach this host by; empty when only a loopback address is known."""
        address = self.inventory.address
        return "" if address.startswith(LOOPBACK) else address


class Site:
    """An inventory, read whole: peers' addresses and settings come from files, never from a host's facts.

    ``missing`` says what becomes of a generated secret that is not stored yet; only a deploy makes one. ``fetch``
    False: no secret is fetched. ``templates``: those that its files are made of.
    """

    def __init__(
        self,
        loaded: Inventory,
        selected: Sequence[Host],
        missing: Missing = "plan",
        fetch: bool = True,
        templates: Templates = SHIPPED,
    ) -> None:
        self.inventory = loaded
        self.templates = templates
        self.secrets = SecretStore(loaded.directory / FOLDER, missing)
        hosts = {host.name: host for host in [*loaded.hosts.values(), *selected]}
        self._hosts = {name: SiteHost(host, fetch=fetch) for name, host in hosts.items()}

    def generated(self, name: str) -> Secret:
        """A secret that encamp made itself and keeps beside the inventory, such as ``vm1/default/api-auth``.

        Raises SettingsError where it cannot be read or kept.
        """
        return self.secrets.get(name)

    def other_values(self, name: str) -> tuple[Secret, ...]:
        """Values that hosts may have in place of :meth:`generated` while that secret changes. Raises SettingsError."""
        return self.secrets.others(name)

    @property
    def lacks_secrets(self) -> bool:
        """Whether a plan that was made of this site so far holds a secret that only a deploy makes."""
        return self.secrets.lacks

    def host(self, name: str) -> SiteHost:
        return self._hosts[name]

    def in_group(self, group: str) -> list[SiteHost]:
        """Hosts of a group in the inventory's order, each as its first instance."""
        return [host for host in self._hosts.values() if host.in_group(group)]

    @property
    def hosts(self) -> list[SiteHost]:
        return list(self._hosts.values())
