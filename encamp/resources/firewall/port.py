"""A port open in the host's firewall, of whichever kind."""

from __future__ import annotations

import re
from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.firewall.opening import Firewall, Opening, nftables_may_filter, parse_sources
from encamp.resources.system import Reader, System

SSH_PORT = 22


@kind
class FirewallPort(Resource):
    """A port open in the host's active firewall: ufw or firewalld (both, if both are active), else nftables.

    ``name`` marks encamp's rules (letters, digits, ``.``, ``_``, ``-``), so that a change of port or sources replaces
    only those. ``port``: 1 to 65535, not 22 (ssh). ``protocol``: tcp or udp. ``sources``: addresses or networks, IPv4
    and IPv6; none means anywhere. ``purpose``: what the port is for, as a text. ``ensure``: present or absent. Without
    an active firewall nothing is opened, and a note reports that.
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
            raise ValueError(f"port {self.port}: must be 1 to 65535, and not {SSH_PORT} (ssh)")
        if self.protocol not in ("tcp", "udp"):
            raise ValueError(f"protocol {self.protocol!r}: must be tcp or udp")
        if self.ensure not in ("present", "absent"):
            raise ValueError(f"ensure {self.ensure!r}: must be present or absent")
        parse_sources(self.sources)

    def refuse(self, host: Reader) -> None:
        if self.ensure == "present":
            for firewall in self._firewalls(host):
                firewall.refuse(host, self._opening)

    def check(self, host: Reader) -> list[Change]:
        firewalls = self._firewalls(host)
        if not firewalls:
            from encamp.resources.firewall.opening import unmanaged

            beyond = unmanaged(host)
            reason = (
                f"encamp does not manage {beyond}; open the port by hand"
                if beyond
                else "no active firewall on this host"
            )
            host.note(f"{reason}: nothing opened for {self._opening}{self._exposure}")
        changes = [change for firewall in firewalls for change in firewall.check(host, self._opening)]
        if changes and self.ensure == "present":
            for denial in self.denials(host):
                host.note(denial)
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for firewall in self._firewalls(host):
            if firewall.check(host, self._opening):
                firewall.apply(host, self._opening)

    def denials(self, host: Reader) -> list[str]:
        """What the owner's rules deny before encamp's rule, for people: they stay, and win.

        A deploy notes them when it changes the opening; later the doctor does.
        """
        found = (denial for firewall in self._firewalls(host) for denial in firewall.denials(host, self._opening))
        after = f"it comes before encamp's, so those clients cannot reach {self.port}/{self.protocol}"
        return [f"{denial}: {after}" for denial in found]

    def enforced(self, host: Reader) -> bool:
        """Whether a firewall that encamp manages is active on this host: without one, sources are not enforced."""
        return bool(self._firewalls(host))

    @property
    def _exposure(self) -> str:
        """The warning about sources that nothing enforces."""
        unlimited = self.ensure == "absent" or self._opening.anywhere
        return "" if unlimited else "; without a firewall the sources are not enforced: every host can reach the port"

    @property
    def _opening(self) -> Opening:
        networks = parse_sources(self.sources) if self.ensure == "present" else ()
        return Opening(self.name, self.port, self.protocol, networks, self.purpose)

    def _firewalls(self, host: Reader) -> list[Firewall]:
        """The firewalls in which to open the port; to close it, all that may have one of encamp's rules."""
        installed = _installed(host, thorough=self.ensure == "absent")
        if self.ensure == "absent":
            return installed
        active = [firewall for firewall in installed if firewall.active(host, self._opening)]
        # ufw and firewalld load their rules into nftables themselves: only they change those.
        managers = [firewall for firewall in active if firewall.manages_nftables]
        return managers or active


def _installed(host: Reader, thorough: bool) -> list[Firewall]:
    """The back ends whose program is installed. Imported here: most hosts have at most one.

    Plain nftables is skipped where its rules filter nothing, unless ``thorough``.
    """
    firewalls: list[Firewall] = []
    if host.which("ufw"):
        from encamp.resources.firewall.ufw import Ufw

        firewalls.append(Ufw())
    if host.which("firewall-cmd"):
        from encamp.resources.firewall.firewalld import Firewalld

        firewalls.append(Firewalld())
    if host.which("nft") and (thorough or nftables_may_filter(host)):
        from encamp.resources.firewall.nftables import Nftables

        firewalls.append(Nftables())
    return firewalls
