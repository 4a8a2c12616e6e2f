"""Below HTTP: names, ports, certificates and the opening of a WebSocket, as this machine meets them.

The door to the host speaks HTTP only, and what goes wrong before that has one answer there. So this is the one place
beside it that opens sockets: to look, never to change anything.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
import time
from typing import Any, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from encamp.shared.record import record, replace
from roles.prefect.kinds.endpoint import Endpoint

CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 6.0
MAX_HEAD = 65536
TEXT, CLOSE = 1, 8
#: A token that proxies and servers accept as a key (16 bytes, RFC 6455); nothing secret is behind it.
KEY_BYTES = 16


def addresses(endpoint: Endpoint) -> list[str]:
    """The addresses of a name, the preferred first. Raises OSError."""
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def is_near(endpoint: Endpoint) -> bool:
    """Whether an address is this machine's own: packets to it would leave from that very address."""
    try:
        for address in addresses(endpoint):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))  # a datagram socket sends nothing when it connects
                if probe.getsockname()[0] == address:
                    return True
    except OSError:
        pass
    return False


def same_server(one: str, other: str) -> bool:
    """Whether two API URLs lead to one server: alike but for a slash, or by the addresses of their names."""
    if one.rstrip("/") == other.rstrip("/"):
        return True
    try:
        first, second = Endpoint.of(one), Endpoint.of(other)
        alike = replace(first, host="") == replace(second, host="")
        return alike and bool(set(addresses(first)) & set(addresses(second)))
    except (OSError, ValueError):
        return False


def connect(endpoint: Endpoint, seconds: float = CONNECT_SECONDS) -> socket.socket:
    """A TCP connection. Raises OSError; TimeoutError where packets vanish."""
    return socket.create_connection((endpoint.host, endpoint.port), timeout=seconds)


@record
class Certificate:
    """A server's certificate that was accepted: days until it expires, days from its first to its last, its issuer."""

    days: float
    lasts: float
    issuer: str


def certificate(endpoint: Endpoint, ca_file: str, roots: str = "", at: str = "") -> Certificate:
    """The certificate, checked against ``ca_file`` ("": the system's authorities), and ``roots``, further ones as PEM.

    ``at`` is the address to connect to in place of the endpoint's host. Raises OSError (ssl.SSLError).
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    if roots:
        context.load_verify_locations(cadata=roots)
    there = replace(endpoint, host=at or endpoint.host)
    with connect(there) as plain, context.wrap_socket(plain, server_hostname=endpoint.host) as secured:
        found: dict[str, Any] = secured.getpeercert() or {}
    issuer = {key: value for part in found.get("issuer", ()) for key, value in part}
    begins, expires = (ssl.cert_time_to_seconds(str(found[key])) for key in ("notBefore", "notAfter"))
    name = str(issuer.get("organizationName") or issuer.get("commonName") or "unknown")
    return Certificate((expires - time.time()) / 86400, (expires - begins) / 86400, name)


@record
class Upgrade:
    """How a server, or a proxy before it, answered the wish to speak WebSocket.

    ``status`` 101 is yes. ``said`` is what came first over the open socket (a JSON text, or the close code and reason).
    """

    status: int
    said: str = ""
    close_code: int = 0
    protocol: str = ""


def websocket(url: str, headers: Mapping[str, str], token: Optional[str], ca_file: str, login: bool = True) -> Upgrade:
    """Open ``url`` (http or https) as a WebSocket the way a Prefect client does, say who we are, and hang up.

    Nothing but the authentication message is sent, and where the client does not ``login`` there, nothing at all.
    Raises OSError.
    """
    endpoint, parts = Endpoint.of(url), urlsplit(url)
    with _stream(endpoint, ca_file) as stream:
        key = base64.b64encode(os.urandom(KEY_BYTES)).decode()
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(["Sec-WebSocket-Protocol: prefect"] if login else []),
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status, protocol, rest = _head(stream)
        if status != 101 or not login:
            return Upgrade(status, protocol=protocol)
        stream.sendall(_frame(TEXT, json.dumps({"type": "auth", "token": token}).encode()))
        answer = _first_message(stream, rest)
        with contextlib.suppress(OSError):
            stream.sendall(_frame(CLOSE, struct.pack("!H", 1000)))
        return replace(answer, protocol=protocol)


@contextlib.contextmanager
def _stream(endpoint: Endpoint, ca_file: str) -> Iterator[socket.socket]:
    """A connection, encrypted for https, that gives up on a silent server."""
    with connect(endpoint) as plain:
        plain.settimeout(ANSWER_SECONDS)
        if endpoint.scheme == "http":
            yield plain
            return
        context = ssl.create_default_context(cafile=ca_file or None)
        with context.wrap_socket(plain, server_hostname=endpoint.host) as secured:
            yield secured


def _head(stream: socket.socket) -> tuple[int, str, bytes]:
    """Status and chosen protocol of an HTTP answer, and what was read beyond its head. Status 0: no HTTP."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < MAX_HEAD:
        part = stream.recv(4096)
        if not part:
            break
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    status = int(words[1]) if len(words) > 1 and words[0].startswith("HTTP/") and words[1].isdigit() else 0
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return status, fields.get("sec-websocket-protocol", ""), rest


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame (RFC 6455, 5.2): masked, below 64 KiB."""
    mask = os.urandom(4)
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack("!H", length)
    return bytes([0x80 | opcode]) + size + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def _first_message(stream: socket.socket, data: bytes) -> Upgrade:
    """The first text or close frame that the server sends."""
    while True:
        opcode, payload, data = _read_frame(stream, data)
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
            return Upgrade(101, payload[2:].decode("utf-8", "replace"), code)
        if opcode == TEXT:
            return Upgrade(101, payload.decode("utf-8", "replace"))


def _read_frame(stream: socket.socket, data: bytes) -> tuple[int, bytes, bytes]:
    """One frame of the server (never masked), and what was read beyond it. Raises OSError at its end."""
    data = _at_least(stream, data, 2)
    opcode, length, start = data[0] & 0x0F, data[1] & 0x7F, 2
    if length >= 126:
        size = 2 if length == 126 else 8
        data = _at_least(stream, data, 2 + size)
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    data = _at_least(stream, data, start + length)
    return opcode, data[start : start + length], data[start + length :]


def _at_least(stream: socket.socket, data: bytes, count: int) -> bytes:
    while len(data) < count:
        part = stream.recv(4096)
        if not part:
            raise OSError("the connection was closed without a response")
        data += part
    return data
