"""Certificate authorities that a user's own Prefect trusts: a file in the user's home, no root needed."""

from __future__ import annotations

import os
from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System

MODE = 0o644
#: All authorities that a system trusts, as one file: Debian's, RHEL's, SUSE's, macOS's.
PUBLIC = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@kind
class ClientCa(Resource):
    """A PEM file with certificate authorities in the user's home, on Linux and macOS. Trust stores are unchanged.

    ``path`` may begin with ``~/``. The profile names the file to Prefect, for HTTP and for WebSockets, in place of all
    others: so those that the system trusts stand behind ``content``.
    """

    path: str
    content: str

    def check(self, host: Reader) -> list[Change]:
        path = expand(host, self.path)
        found = host.stat(path)
        if found is None:
            return [Change("file", "absent", path)]
        changes = [] if host.read(path) == self._data(host) else [Change("content", "differs", "as declared")]
        return changes + ([Change("mode", f"{found.mode:04o}", f"{MODE:04o}")] if found.mode != MODE else [])

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        path = expand(host, self.path)
        if host.stat(os.path.dirname(path)) is None:
            host.mkdir(os.path.dirname(path))
        host.write(path, self._data(host), mode=MODE)

    def _data(self, host: Reader) -> bytes:
        public = next((data for data in map(host.read, PUBLIC) if data), b"")
        return self.content.encode() + public
