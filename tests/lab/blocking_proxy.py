#!/usr/bin/env python3
"""A proxy as many a default configuration makes it: HTTP passes, a WebSocket's Upgrade does not.

    blocking_proxy.py PORT URL [SECONDS [PEM]]

URL is the server behind it. Its clock is ahead by SECONDS; with PEM, key and certificate in one file, it speaks TLS.
Runs on lab hosts: only the standard library.
"""

from __future__ import annotations

import http.server
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import Any

#: What a proxy does not pass on, and what would be passed on changed (RFC 9110, section 7.6.1).
KEPT_BACK = {"host", "connection", "upgrade", "content-length", "accept-encoding"}


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on to ``back``; ``ahead`` is in seconds."""

    protocol_version = "HTTP/1.1"
    back = ""
    ahead = 0.0

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((time.time() if timestamp is None else timestamp) + self.ahead)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {name: value for name, value in self.headers.items() if name.lower() not in KEPT_BACK}
        request = urllib.request.Request(self.back + self.path, body, headers, method=self.command)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = relay


def main(port: str, back: str, ahead: str = "0", pem: str = "") -> None:
    Proxy.back, Proxy.ahead = back, float(ahead)
    server = http.server.ThreadingHTTPServer(("", int(port)), Proxy)
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
