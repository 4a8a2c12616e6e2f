"""Host keys: known-hosts files as OpenSSH reads them, and what they say of a key that a host presents.

Hashed names, patterns, other ports, @revoked and @cert-authority lines count; see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from encamp.errors import HostKeyRejected, Origin
from encamp.ssh.config import Hop
from encamp.ssh.known_hosts import CERTIFICATE, Entry, PublicKey, entries


class HostKeys:
    """What the known-hosts files say of one host. ``files`` in the order in which they count."""

    def __init__(self, hop: Hop, files: Sequence[str]) -> None:
        self._hop = hop
        lines = [entry for file in files for entry in entries(file)]
        self.entries = [entry for entry in lines if entry.is_for(hop.recorded)]
        # A key recorded without the port counts as well, if it is the one: as in OpenSSH (sshconnect.c).
        self._by_name = [entry for entry in lines if hop.port != 22 and entry.is_for(hop.host.lower())]

    @property
    def authorities(self) -> list[Entry]:
        return [entry for entry in (*self.entries, *self._by_name) if entry.marker == "@cert-authority"]

    @property
    def keys(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.marker]

    def algorithms(self, offered: Iterable[str]) -> tuple[str, ...]:
        """Host key algorithms to ask for: certificates of a known authority, then types on record, then the rest."""
        known = {entry.key.type for entry in (self.keys or [one for one in self._by_name if not one.marker])}
        plain = [name for name in offered if not name.endswith(CERTIFICATE)]
        first = [name for name in plain if name in known or (name.startswith("rsa-") and "ssh-rsa" in known)]
        certificates = [name + CERTIFICATE for name in plain] if self.authorities else []
        return (*certificates, *first, *(name for name in plain if name not in first))

    def is_known(self, key: PublicKey, certified: PublicKey | None = None) -> bool:
        """Whether the host is who it should be. False: nothing is on record of it.

        ``certified`` is the certificate that holds ``key``, where the host showed one. Raises HostKeyRejected for a key
        that is revoked, or another one than on record.
        """
        from encamp.ssh.host_certificates import signed_by

        signer = signed_by(certified, self._hop, self.authorities) if certified else None
        shown = [one for one in (key, signer) if one]
        for entry in (*self.entries, *self._by_name):
            if entry.marker == "@revoked" and entry.key in shown:
                raise revoked(self._hop, entry, str(entry.key))
        if signer or any(entry.key == key for entry in self.keys):
            return True
        if self.keys:
            raise changed(self._hop, self.keys, str(key))
        return any(entry.key == key for entry in self._by_name if not entry.marker)

    def revoked_entry(self, shown: str) -> Entry | None:
        """The line that revokes a key, given by its type and fingerprint."""
        lines = (*self.entries, *self._by_name)
        return next((entry for entry in lines if entry.marker == "@revoked" and str(entry.key) == shown), None)


def revoked(hop: Hop, entry: Entry | None, shown: str) -> HostKeyRejected:
    """The refusal of a key that a line revokes; None: which line is not known."""
    place = f", {entry.origin}" if entry else ""
    return HostKeyRejected(
        f"the host key of {hop.recorded} is revoked ({shown}{place})",
        "do not connect: this may be a man-in-the-middle attack; give the host a new key",
    )


def changed(hop: Hop, on_record: Sequence[Entry], shown: str) -> HostKeyRejected:
    """The refusal of another key than on record: both fingerprints, the line on record, and the command that forgets
    it. ``shown`` is the key that the host presented: its type and fingerprint."""
    keys = [entry for entry in on_record if not entry.marker]
    same = [entry for entry in keys if entry.key.type == shown.partition(" ")[0]]
    entry = next(iter(same or keys), None)
    recorded, forget = "", f"ssh-keygen -R {shlex.quote(hop.recorded)}"
    if entry:
        recorded = f"on record {entry.key} ({entry.origin}), "
        forget = shlex.join(["ssh-keygen", "-R", hop.recorded, "-f", str(Origin(entry.origin.file))])
    return HostKeyRejected(
        f"the host key of {hop.recorded} has changed: {recorded}presented {shown}",
        f"if the host was reinstalled, forget the old key (`{forget}`) and connect once to record the "
        f"new one (`{login(hop)}`); if it was not, this may be a man-in-the-middle attack: do not connect",
    )


def unknown(hop: Hop, key: PublicKey | str) -> HostKeyRejected:
    """The refusal of a host of which nothing is on record."""
    return HostKeyRejected(
        f"the host key of {hop.recorded} is unknown ({key})",
        "compare it with the key on the host (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then connect once to record "
        f"it (`{login(hop)}`), or set host_key_checking: accept-new",
    )


def login(hop: Hop) -> str:
    """The ssh command that reaches a host as it was asked for."""
    by_config = bool(hop.values)
    place = hop.name if by_config else hop.host
    return f"ssh -p {hop.port} {place}" if hop.port != 22 else f"ssh {place}"
