"""Host keys: known-hosts files as OpenSSH reads them, and what they say of a key that a host presents.

Hashed names, patterns, other ports, @revoked and @cert-authority lines count; see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import shlex
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from encamp.errors import HostKeyRejected, Origin
from encamp.shared.record import record
from encamp.ssh import config_files
from encamp.ssh.config import Hop

CERTIFICATE = "-cert-v01@openssh.com"
_RECORDING = threading.Lock()


@record
class PublicKey:
    """A public key as it travels: its type and its base64 text."""

    type: str
    text: str

    @classmethod
    def from_blob(cls, blob: bytes) -> PublicKey:
        """The key of an SSH message: its type's name stands first in it."""
        length = int.from_bytes(blob[:4], "big")
        return cls(blob[4 : 4 + length].decode("ascii", "replace"), base64.b64encode(blob).decode())

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        try:
            digest = hashlib.sha256(base64.b64decode(self.text)).digest()
        except ValueError:
            return "(damaged)"
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


@record
class Entry:
    """One line of a known-hosts file. ``marker`` is empty, ``@revoked`` or ``@cert-authority``."""

    marker: str
    names: tuple[str, ...]
    key: PublicKey
    origin: Origin

    def is_for(self, name: str) -> bool:
        """Whether the line names a host, as known-hosts files name it."""
        if any(_matches(one[1:], name) for one in self.names if one.startswith("!")):
            return False
        return any(_matches(one, name) for one in self.names)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        salt, _, found = pattern[3:].partition("|")
        try:
            return _hashed(name, salt) == found
        except ValueError:  # a damaged line
            return False
    return pattern == name or (("*" in pattern or "?" in pattern) and config_files.matches(pattern, name))


def _hashed(name: str, salt: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()).decode()


class HostKeys:
    """What the known-hosts files say of one host. ``files`` in the order in which they count."""

    def __init__(self, hop: Hop, files: Sequence[str]) -> None:
        self._hop = hop
        lines = [entry for file in files for entry in _entries(file)]
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
                raise self._revoked(entry)
        if signer or any(entry.key == key for entry in self.keys):
            return True
        if self.keys:
            raise self._changed(key)
        return any(entry.key == key for entry in self._by_name if not entry.marker)

    def _revoked(self, entry: Entry) -> HostKeyRejected:
        return HostKeyRejected(
            f"the host key of {self._hop.recorded} is revoked ({entry.key}, {entry.origin})",
            "do not connect: whoever has this key may be in the middle; give the host a new key",
        )

    def _changed(self, key: PublicKey) -> HostKeyRejected:
        """Both fingerprints, the line on record, and the command that forgets it."""
        same = [entry for entry in self.keys if entry.key.type == key.type]
        entry = (same or self.keys)[0]
        command = ["ssh-keygen", "-R", self._hop.recorded, "-f", str(Origin(entry.origin.file))]
        return HostKeyRejected(
            f"the host key of {self._hop.recorded} has changed: on record {entry.key} ({entry.origin}), "
            f"presented {key}",
            f"if the host was reinstalled, forget the old key (`{shlex.join(command)}`) and connect once to record the "
            f"new one (`{login(self._hop)}`); if it was not, someone may be in the middle: do not connect",
        )


def unknown(hop: Hop, key: PublicKey) -> HostKeyRejected:
    """The refusal of a host of which nothing is on record."""
    return HostKeyRejected(
        f"the host key of {hop.recorded} is not known ({key})",
        "compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then connect once to record "
        f"it (`{login(hop)}`), or set host_key_checking: accept-new",
    )


def login(hop: Hop) -> str:
    """The ssh command that reaches a host as it was asked for."""
    by_config = bool(hop.values)
    place = hop.name if by_config else hop.host
    return f"ssh -p {hop.port} {place}" if hop.port != 22 else f"ssh {place}"


def write_down(hop: Hop, key: PublicKey, file: str) -> None:
    """Write a new key down; in the user's own files under a hashed name where OpenSSH would. Raises OSError."""
    name = hop.recorded
    if any(one.keyword == "hashknownhosts" and one.value.lower() == "yes" for one in config_files.statements()):
        salt = base64.b64encode(os.urandom(20)).decode()
        name = f"|1|{salt}|{_hashed(name, salt)}" if file in hop.known_hosts else name
    path = Path(file)
    with _RECORDING:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 1))
            gap = b"\n" if stream.read(1) not in (b"", b"\n") else b""
            stream.write(gap + f"{name} {key.type} {key.text}\n".encode())


def _entries(file: str) -> tuple[Entry, ...]:
    """The lines of a file; none where it does not exist."""
    try:
        status = os.stat(file)
        return _read(file, status.st_mtime_ns, status.st_size)
    except OSError:
        return ()


@functools.lru_cache(maxsize=32)
def _read(file: str, changed: int, size: int) -> tuple[Entry, ...]:
    """``changed`` and ``size`` tell one state of the file from another. Raises OSError."""
    found = []
    with open(file, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) >= 3 and not words[0].startswith("#"):
                origin = Origin(os.path.abspath(file), number)
                found.append(Entry(marker, tuple(words[0].split(",")), PublicKey(words[1], words[2]), origin))
    return tuple(found)
