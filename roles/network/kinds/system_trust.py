"""The system's trust store under one name."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.certificates.ca_bundle import STORES
from encamp.resources.system import Reader, System


@kind
class SystemTrust(Resource):
    """A link to the file with all authorities that the system trusts: each distribution has it elsewhere.

    For settings that take one path on every host, such as SSL_CERT_FILE.
    """

    path: str

    def check(self, host: Reader) -> list[Change]:
        wanted = self._bundle(host)
        found = host.stat(self.path)
        now = found.target if found else ""
        return [] if now == wanted else [Change("link", now or "absent", wanted)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        directory = self.path.rpartition("/")[0]
        if host.stat(directory) is None:
            host.mkdir(directory)
        host.symlink(self.path, self._bundle(host))

    def _bundle(self, host: Reader) -> str:
        store = STORES.get(host.os_release().family)
        return store.bundle if store else "/etc/ssl/cert.pem"
