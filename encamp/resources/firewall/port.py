"""A port open on whatever firewall the host has."""

from __future__ import annotations

import re
from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.firewall.opening import Firewall, Opening, nftables_may_filter, parse_sources
from encamp.resources.system import Reader, System

SSH_PORT = 22


@kind
class FirewallPort(Resource):
    """A port open on the host's active firewall: ufw or firewalld (both, if both are active), else nftables.

    ``name`` marks our rules (letters, digits, ``.``, ``_``, ``-``), so that a change of port or sources replaces them
    and leaves all others alone. ``port``: 1 to 65535, never ssh's 22. ``protocol``: tcp or udp. ``sources``: addresses
    or networks, IPv4 and IPv6; none means anywhere. ``purpose``: what the port is for, told to people. ``ensure``:
    present or absent. Without an active firewall nothing is opened, and a note says so. Untested on RHEL.
    """

    waits: ClassVar[bool] = True

    name: str
    port: int
    protocol: str = "tcp"
    sources: tuple[str, ...] = ()
    purpose: str = ""
    ensure: str = "present"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.name):
            raise ValueError(f"firewall rule name {self.name!r}: letters, digits, '.', '_' and '-' only, 64 at most")
        if not 1 <= self.port <= 65535 or self.port == SSH_PORT:
            raise ValueError(f"port {self.port}: must be 1 to 65535 and not {SSH_PORT}, which is ssh's")
        if self.protocol not in ("tcp", "udp"):
            raise ValueError(f"protocol {self.protocol!r}: must be tcp or udp")
        if self.ensure not in ("present", "absent"):
            raise ValueError(f"ensure {self.ensure!r}: must be present or absent")
        parse_sources(self.sources)

    def check(self, host: Reader) -> list[Change]:
        firewalls = self._firewalls(host)
        if not firewalls:
            from encamp.resources.firewall.opening import unmanaged

            beyond = unmanaged(host)
            found = f"encamp does not manage {beyond}; open it by hand" if beyond else "no active firewall on this host"
            host.note(f"{found}: nothing opened for {self._opening}{self._in_vain}")
        return [change for firewall in firewalls for change in firewall.check(host, self._opening)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for firewall in self._firewalls(host):
            if firewall.check(host, self._opening):
                firewall.apply(host, self._opening)

    def enforced(self, host: Reader) -> bool:
        """Whether a firewall that encamp manages is at work on this host: without one, sources are no limit."""
        return bool(self._firewalls(host))

    @property
    def _in_vain(self) -> str:
        """What is to be said of sources that nothing enforces."""
        everywhere = self.ensure == "absent" or self._opening.anywhere
        return "" if everywhere else "; without a firewall that is no limit: whoever reaches this host reaches the port"

    @property
    def _opening(self) -> Opening:
        networks = parse_sources(self.sources) if self.ensure == "present" else ()
        return Opening(self.name, self.port, self.protocol, networks, self.purpose)

    def _firewalls(self, host: Reader) -> list[Firewall]:
        """Where the port must be open; to close it, wherever a rule of ours may have been left."""
        installed = _installed(host, thorough=self.ensure == "absent")
        if self.ensure == "absent":
            return installed
        active = [firewall for firewall in installed if firewall.active(host, self._opening)]
        # ufw and firewalld load rules into nftables themselves: those are theirs to change.
        managers = [firewall for firewall in active if firewall.manages_nftables]
        return managers or active


def _installed(host: Reader, thorough: bool) -> list[Firewall]:
    """The back ends whose program is on the host. Imported here: a host has one of them, if any.

    Plain nftables is left out where its rules filter nothing, unless ``thorough``.
    """
    found: list[Firewall] = []
    if host.which("ufw"):
        from encamp.resources.firewall.ufw import Ufw

        found.append(Ufw())
    if host.which("firewall-cmd"):
        from encamp.resources.firewall.firewalld import Firewalld

        found.append(Firewalld())
    if host.which("nft") and (thorough or nftables_may_filter(host)):
        from encamp.resources.firewall.nftables import Nftables

        found.append(Nftables())
    return found
