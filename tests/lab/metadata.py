"""Metadata services of clouds, as strict as theirs: without the right headers there is no answer.

``python3 metadata.py ADDRESS PORT PUBLIC_ADDRESS`` runs until it is stopped, and prints a line for each request.
"""

from __future__ import annotations

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TTL, KEY = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
#: Paths, and the headers that each cloud insists on.
GCP = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"
AZURE = "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text"
AZURE_BALANCER = "/metadata/loadbalancer?api-version=2020-10-01"
PLAIN = ("/hetzner/v1/metadata/public-ipv4", "/metadata/v1/interfaces/public/0/ipv4/address")
AWS = "/latest/meta-data/public-ipv4"


class Metadata(BaseHTTPRequestHandler):
    """One request."""

    server: MetadataServer

    def do_PUT(self) -> None:
        lifetime = self.headers.get(TTL, "")
        if self.path != "/latest/api/token" or self.headers.get("X-Forwarded-For"):
            return self._answer(403 if self.headers.get("X-Forwarded-For") else 404, "")
        if not (lifetime.isdecimal() and 1 <= int(lifetime) <= 21600):
            return self._answer(400, "")
        token = secrets.token_urlsafe(32)
        self.server.tokens.add(token)
        self._answer(200, token)

    def do_GET(self) -> None:
        if self.path == AWS:
            return self._if(not self.server.wants_token or self._has_token, 401, self.server.public)
        if self.path == GCP:
            return self._if(self.headers.get("Metadata-Flavor") == "Google", 403, self.server.public)
        if self.path == AZURE:  # empty for a standard address, as it is there
            return self._if(self.headers.get("Metadata") == "true", 400, " ")
        if self.path == AZURE_BALANCER:
            found = {"loadbalancer": {"publicIpAddresses": [{"frontendIpAddress": self.server.public}]}}
            return self._if(self.headers.get("Metadata") == "true", 400, json.dumps(found))
        self._if(self.path in PLAIN, 404, self.server.public)

    @property
    def _has_token(self) -> bool:
        return self.headers.get(KEY) in self.server.tokens

    def _if(self, allowed: bool, otherwise: int, text: str) -> None:
        """The text for a request that is as it should be; 404 where there is none."""
        self._answer((200 if text else 404) if allowed else otherwise, text if allowed else "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, form: str, *values: object) -> None:
        print(form % values, flush=True)


class MetadataServer(ThreadingHTTPServer):
    """The service of one machine. ``public`` empty: it has no such address. OpenStack's wants no token."""

    def __init__(self, address: tuple[str, int], public: str) -> None:
        super().__init__(address, Metadata)
        self.public, self.wants_token = public, True
        self.tokens: set[str] = set()


if __name__ == "__main__":
    MetadataServer((sys.argv[1], int(sys.argv[2])), sys.argv[3]).serve_forever()
