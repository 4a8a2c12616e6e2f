"""Whether strangers on the internet can reach a server: what an address is, and what a host has of them."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Iterator, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.firewall.port import FirewallPort
from encamp.resources.system import Reader, System

#: Where the kernel lists a host's own addresses: no program is needed, and none is started.
IPV4 = "/proc/net/fib_trie"
IPV6 = "/proc/net/if_inet6"
LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
WILDCARDS = ("0.0.0.0", "::")
#: Both of them: where the proxy listens.
BOTH = "*"
SECONDS = 3.0


def is_public(address: str) -> bool:
    """Whether an address can be reached from the internet.

    Not so: private networks, carrier-grade NAT (100.64.0.0/10), benchmark networks (198.18.0.0/15), ULA, link-local,
    loopback, documentation, multicast; and what is not an address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


@kind
class Exposure(Resource):
    """A server without auth that the internet cannot reach: neither by its addresses nor by its public name.

    ``bind`` is the address it listens on (``*``: all of IPv4 and IPv6), ``names`` are the host names by which clients
    know it. ``sources`` are the networks that the firewall allows, if the host has an active one.
    Never changes anything.
    """

    changes_host: ClassVar[bool] = False

    name: str
    bind: str
    port: int
    names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        found = next(self._public(host), "")
        if found and self.sources and not self._limited(host):
            raise Refused(
                f"{found}, allowed_sources does not protect it, and the API has no auth",
                "no active firewall that encamp manages was found, and only a firewall can restrict sources",
                "enable a firewall (ufw, firewalld or nftables), or set auth: auto; expose_without_auth: true if a "
                "firewall outside this host is enough",
            )
        if found and not self.sources:
            raise Refused(
                f"{found}, and the API has neither auth nor allowed_sources",
                "anyone who finds it can read everything and run code on the workers",
                "set auth: auto, or allowed_sources: [networks of your clients]; expose_without_auth: true if it is "
                "intended to be public",
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _limited(self, host: Reader) -> bool:
        return FirewallPort(f"prefect-{self.name}", self.port, sources=self.sources).enforced(host)

    def _public(self, host: Reader) -> Iterator[str]:
        """What makes the server public, for people."""
        for address in self._listening(host):
            if is_public(address):
                yield f"this host has the public address {address}"
        for name in self.names:
            for address in _resolved(host, name):
                if is_public(address) and self._same_family(address):
                    yield f"{name} is the public address {address}"

    def _listening(self, host: Reader) -> list[str]:
        """The addresses at which the server can be reached on this host."""
        if self.bind not in (*WILDCARDS, BOTH):
            return [self.bind]
        return host.once(f"addresses:{self.bind}", lambda: self._own(host))

    def _own(self, host: Reader) -> list[str]:
        """The host's addresses of the versions of IP that it listens with."""
        four = [] if ":" in self.bind else _ipv4(host)
        return [*four, *(_ipv6(host) if self.bind in ("::", BOTH) else [])]

    def _same_family(self, address: str) -> bool:
        """Whether the server listens on addresses of this family; behind a proxy (loopback) it may be either."""
        return self.bind not in WILDCARDS or (":" in self.bind) == (":" in address)


def _ipv4(host: Reader) -> list[str]:
    text = (host.read(IPV4) or b"").decode("ascii", "replace")
    return list(dict.fromkeys(LOCAL.findall(text)))


def _ipv6(host: Reader) -> list[str]:
    lines = (host.read(IPV6) or b"").decode("ascii", "replace").splitlines()
    return [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in lines if line.strip()]


def _resolved(host: Reader, name: str) -> list[str]:
    """The addresses of a name on this host; none where it cannot be resolved."""

    def ask() -> list[str]:
        answer = host.query(["getent", "ahosts", name], timeout=SECONDS)
        return list(dict.fromkeys(line.split()[0] for line in answer.out.splitlines() if line.strip()))

    return host.once(f"resolved:{name}", ask)
