"""One HTTPS request to a given address: on this host the URL's name may resolve to another one, or not at all."""

from __future__ import annotations

import ssl
from typing import Mapping
from urllib.parse import SplitResult, urlsplit

from encamp.shared.record import record

#: Requests a WebSocket (RFC 6455). The key is any 16 bytes; Prefect's sockets speak the subprotocol `prefect`.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "ZW5jYW1wIGFza3MgaGVyZQ==",
    "Sec-WebSocket-Protocol": "prefect",
}
#: A close frame with status 1000, masked with zeros as a client's must be.
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
SWITCHED = 101


@record
class Answer:
    """The response. ``ends`` is when the server's certificate expires, in seconds since 1970."""

    status: int
    body: bytes
    ends: float


def ask(url: str, address: str, ca_file: str = "", headers: Mapping[str, str] = UPGRADE, timeout: float = 5) -> Answer:
    """GET ``url`` from the server at ``address``, verifying the certificate for the URL's name.

    With the default ``headers`` it requests a WebSocket, and closes it once it is open. Raises OSError (its
    subclasses of ssl, too), ValueError and http.client.HTTPException.
    """
    import socket

    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file or None)
    with socket.create_connection((address, parts.port or 443), timeout) as plain:
        return _answer(context.wrap_socket(plain, server_hostname=parts.hostname), _request(parts, headers))


def _answer(stream: ssl.SSLSocket, request: bytes) -> Answer:
    import http.client

    with stream:
        ends = ssl.cert_time_to_seconds(str((stream.getpeercert() or {})["notAfter"]))
        stream.sendall(request)
        response = http.client.HTTPResponse(stream, method="GET")
        response.begin()
        if response.status == SWITCHED:
            stream.sendall(CLOSE)
            return Answer(SWITCHED, b"", ends)
        return Answer(response.status, response.read(), ends)


def _request(parts: SplitResult, headers: Mapping[str, str]) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": parts.netloc, "User-Agent": "encamp", "Connection": "close", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    return "\r\n".join(lines).encode()
