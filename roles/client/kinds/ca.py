"""Certificate authorities that a user's own Prefect trusts: a file in the user's home, no root needed."""

from __future__ import annotations

import os
from typing import Sequence

from encamp.resources.base import Change, Resource, kind, octal
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System

MODE = 0o644
#: All authorities that a system trusts, as one file: of Debian, RHEL, SUSE, macOS. Windows has none.
PUBLIC = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@kind
class ClientCa(Resource):
    """A PEM file with certificate authorities in the user's home, on any system. Trust stores are unchanged.

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
        if host.has_modes and found.mode != MODE:
            changes.append(Change("mode", octal(found.mode), octal(MODE)))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        path = expand(host, self.path)
        if host.stat(os.path.dirname(path)) is None:
            host.mkdir(os.path.dirname(path))
        host.write(path, self._data(host), mode=MODE)

    def _data(self, host: Reader) -> bytes:
        public = next((data for data in map(host.read, PUBLIC) if data), b"")
        return self.content.encode() + (public or _of_windows())


def _of_windows() -> bytes:
    """The authorities in Windows' own store, as PEM; empty on any other system, and where the store is empty."""
    import ssl

    listed = getattr(ssl, "enum_certificates", None)
    found = {der for der, encoding, _ in listed("ROOT") if encoding == "x509_asn"} if listed else set()
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in sorted(found)).encode()
