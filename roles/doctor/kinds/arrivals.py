"""Connections that arrive at this host, counted where the kernel takes packets from the wire: before any firewall.

Opens raw sockets, which takes root, and only reads.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from typing import Iterator

#: Protocols of a frame (<linux/if_ether.h>): a socket for one of them sees what is received, not what is sent
#: (packet(7)). And an option (<asm/socket.h>).
IPV4, IPV6, ATTACH_FILTER = 0x0800, 0x86DD, 26
#: Classic BPF (the kernel's Documentation/networking/filter.rst): read a byte or two at a place, also counted from the
#: end of the header of IPv4; mask; compare; keep so many bytes.
BYTE, HALF, HEADER, HALF_BEYOND, BYTE_BEYOND, MASK, EQUAL, KEEP = 0x30, 0x28, 0xB1, 0x48, 0x50, 0x54, 0x15, 0x06
TCP, SYN, SYN_OR_ACK, LATER_FRAGMENT, WHOLE = 6, 0x02, 0x12, 0x1FFF, 0xFFFF
LOOPBACK = "lo"


def openings_of(protocol: int, port: int) -> bytes:
    """A filter that keeps packets which open a TCP connection to ``port``."""
    four = [(BYTE, 9), (EQUAL, TCP), (HALF, 6), (MASK, LATER_FRAGMENT), (EQUAL, 0), (HEADER, 0), (HALF_BEYOND, 2)]
    four += [(EQUAL, port), (BYTE_BEYOND, 13), (MASK, SYN_OR_ACK), (EQUAL, SYN)]
    six = [(BYTE, 6), (EQUAL, TCP), (HALF, 42), (EQUAL, port), (BYTE, 53), (MASK, SYN_OR_ACK), (EQUAL, SYN)]
    program = [*(four if protocol == IPV4 else six), (KEEP, WHOLE), (KEEP, 0)]
    last = len(program) - 1
    lines = [(code, 0, last - at - 1 if code == EQUAL else 0, value) for at, (code, value) in enumerate(program)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


@contextlib.contextmanager
def arrivals(port: int) -> Iterator[Arrivals]:
    """What arrives at ``port`` from now on. Raises OSError where raw sockets are not permitted."""
    with _listening(IPV4, port) as four, _listening(IPV6, port) as six:
        yield Arrivals(four, six)


def _listening(protocol: int, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
    code = openings_of(protocol, port)
    program = ctypes.create_string_buffer(code)
    opened.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", len(code) // 8, ctypes.addressof(program)))
    opened.setblocking(False)
    for _ in _kept(opened):  # what came before the filter was in place: any packet
        pass
    return opened


class Arrivals:
    """What the kernel has kept of the packets since the sockets were opened."""

    def __init__(self, four: socket.socket, six: socket.socket) -> None:
        self._four, self._six = four, six

    def sources(self) -> dict[str, int]:
        """The addresses that packets came from, and how many. Not what this host says to itself."""
        counts: dict[str, int] = {}
        for opened, family, place in ((self._four, socket.AF_INET, 12), (self._six, socket.AF_INET6, 8)):
            for packet in _kept(opened):
                size = 4 if family == socket.AF_INET else 16
                source = socket.inet_ntop(family, packet[place : place + size])
                counts[source] = counts.get(source, 0) + 1
        return counts


def _kept(opened: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            packet, (interface, *_) = opened.recvfrom(WHOLE)
            if interface != LOOPBACK:
                yield packet
