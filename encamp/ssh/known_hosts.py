"""Known-hosts files as OpenSSH reads and writes them; see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import hmac
import os
import threading
from pathlib import Path

from encamp.errors import Origin
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
        if any(matches(pattern[1:], name) for pattern in self.names if pattern.startswith("!")):
            return False
        return any(matches(pattern, name) for pattern in self.names)


def matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        salt, _, found = pattern[3:].partition("|")
        try:
            return hashed(name, salt) == found
        except ValueError:  # a damaged line
            return False
    pattern = pattern.lower()
    return pattern == name.lower() or (("*" in pattern or "?" in pattern) and config_files.matches(pattern, name))


def hashed(name: str, salt: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()).decode()


def write_down(hop: Hop, key: PublicKey, file: str) -> None:
    """Write a new key down; in the user's own files under a hashed name where OpenSSH would. Raises OSError."""
    name = hop.recorded
    if any(
        statement.keyword == "hashknownhosts" and statement.value.lower() == "yes"
        for statement in config_files.statements()
    ):
        salt = base64.b64encode(os.urandom(20)).decode()
        name = f"|1|{salt}|{hashed(name, salt)}" if file in hop.known_hosts else name
    path = Path(file)
    with _RECORDING:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 1))
            gap = b"\n" if stream.read(1) not in (b"", b"\n") else b""
            stream.write(gap + f"{name} {key.type} {key.text}\n".encode())


def end_last_line(file: str) -> None:
    """Give a file's last line its end, which OpenSSH before 9.4 does not do: it would write a new key behind it."""
    with contextlib.suppress(OSError), open(file, "r+b") as stream:
        if stream.seek(0, os.SEEK_END) and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n":
            stream.write(b"\n")


def entries(file: str) -> tuple[Entry, ...]:
    """The lines of a file; none where it does not exist."""
    try:
        status = os.stat(file)
        return _read(file, status.st_mtime_ns, status.st_size)
    except OSError:
        return ()


@functools.lru_cache(maxsize=32)
def _read(file: str, changed: int, size: int) -> tuple[Entry, ...]:
    """``changed`` and ``size`` identify a state of the file. Raises OSError."""
    found = []
    with open(file, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) >= 3 and not words[0].startswith("#") and _is_key(words[1], words[2]):
                origin = Origin(os.path.abspath(file), number)
                found.append(Entry(marker, tuple(words[0].split(",")), PublicKey(words[1], words[2]), origin))
    return tuple(found)


def _is_key(kind: str, text: str) -> bool:
    """Whether two words are a key, of whatever type. OpenSSH passes over lines that are cut off, and over those of SSH
    1 (three numbers): they are no proof that a host has another key now."""
    try:
        return PublicKey.from_blob(base64.b64decode(text, validate=True)).type == kind
    except ValueError:
        return False
