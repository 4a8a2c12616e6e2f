"""An opening in a firewall, in terms that every back end understands."""

from __future__ import annotations

import ipaddress
import re
from typing import Protocol, Sequence, Union

from encamp.resources.base import Change
from encamp.resources.system import Reader, Result, System
from encamp.shared.record import record

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
NFT_LIST = ("nft", "-j", "list", "ruleset")
NFT_AT_BOOT = (
    "/etc/systemd/system/sysinit.target.wants/nftables.service",
    "/etc/systemd/system/multi-user.target.wants/nftables.service",
)
EVERYWHERE: tuple[Network, ...] = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))


@record
class Opening:
    """One port for some sources. ``name`` marks encamp's rules, so that later runs find those and no others.

    ``networks`` never overlap; all of IPv4 and IPv6 together mean anywhere. Empty means closed.
    """

    name: str
    port: int
    protocol: str
    networks: tuple[Network, ...]
    purpose: str = ""

    @property
    def comment(self) -> str:
        """The comment on encamp's rules."""
        return f"encamp:{self.name}"

    @property
    def anywhere(self) -> bool:
        return self.networks == EVERYWHERE

    def of_version(self, version: int) -> tuple[Network, ...]:
        """The networks of one IP version, 4 or 6."""
        return tuple(network for network in self.networks if network.version == version)

    def __str__(self) -> str:
        sources = "anywhere" if self.anywhere else ", ".join(map(str, self.networks))
        return f"{self.port}/{self.protocol} from {sources}" if self.networks else "closed"


class Firewall(Protocol):
    """A back end. ``check`` also finds encamp's rules in a firewall that is not active.

    ``manages_nftables``: it loads its rules into nftables, where only it changes them.
    """

    manages_nftables: bool

    def active(self, host: Reader, opening: Opening) -> bool: ...

    def check(self, host: Reader, opening: Opening) -> list[Change]: ...

    def apply(self, host: System, opening: Opening) -> None: ...

    def refuse(self, host: Reader, opening: Opening) -> None:
        """Raise Refused where ``apply`` would replace a rule of the owner's."""
        ...

    def denials(self, host: Reader, opening: Opening) -> list[str]:
        """What the owner's rules deny to clients of the opening before encamp's rule is looked at, for people."""
        ...


def parse_sources(sources: Sequence[str]) -> tuple[Network, ...]:
    """Networks from texts such as 10.0.0.0/8, 10.1.2.3 or fd00::/8, merged where they overlap; none means anywhere.

    Raises ValueError for a text that is not a network.
    """
    if not sources:
        return EVERYWHERE
    networks = [ipaddress.ip_network(source, strict=False) for source in sources]
    four = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return (*four, *six)


def address(network: Network) -> str:
    """A network as firewalls print it: a single host without its prefix length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def nftables_listing(host: Reader) -> Result:
    """The rules in the kernel, as ``nft -j`` lists them."""
    return host.once("nftables:listing", lambda: host.query(NFT_LIST))


def nftables_may_filter(host: Reader) -> bool:
    """Whether rules hook into the kernel's input now, or a rules file is loaded at boot."""
    return '"hook"' in nftables_listing(host).out or any(host.stat(link) for link in NFT_AT_BOOT)


def unmanaged(host: Reader) -> str:
    """A packet filter on this host that encamp cannot manage; empty if there is none."""
    if b"filter" in (host.read("/proc/net/ip_tables_names") or b""):
        return "iptables-legacy"
    if not host.which("nft") and host.which("iptables"):
        rules = host.once("iptables:INPUT", lambda: host.query(["iptables", "-w", "-S", "INPUT"])).out
        if re.search(r"-P INPUT DROP|-j (DROP|REJECT)", rules):
            return "iptables without the nft program"
    return ""
