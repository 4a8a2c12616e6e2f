"""Keys to log in with: files, encrypted ones too, OpenSSH certificates beside them, and ssh-agent."""

from __future__ import annotations

import base64
import binascii
import functools
import io
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.pkey import PublicBlob

from encamp.errors import Unreachable
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.ssh.config import Hop

_OPENSSH = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END")
_CLASSES: dict[str, type[paramiko.PKey]] = {
    "ssh-ed25519": paramiko.Ed25519Key,
    "ssh-rsa": paramiko.RSAKey,
    **{f"ecdsa-sha2-nistp{bits}": paramiko.ECDSAKey for bits in (256, 384, 521)},
}
_MAGIC = b"openssh-key-v1\0"
_LOADING = threading.Lock()


class KeyProblem(Exception):
    """A key file that cannot be used; the text says why."""


@record
class Identity:
    """A key that may log in, with what to call it in messages."""

    title: str
    key: paramiko.PKey


@record
class KeyFile:
    """A private key's file. ``public`` is its public half in SSH's own form, empty where only the private key shows it.

    ``only_public``: the private half is not in a file.
    """

    path: str
    encrypted: bool
    public: bytes
    only_public: bool = False


@functools.cache
def read(path: str) -> KeyFile:
    """Look at a key file without opening it. A public key will do where ssh-agent has the private one.

    Raises OSError, KeyProblem where it holds no key.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        public = _public(f"{path}.pub")
        if not public:
            raise
        return KeyFile(path, False, public, only_public=True)
    match = _OPENSSH.search(data)
    if match:
        return KeyFile(path, *_openssh(match[1]))
    if b"PRIVATE KEY-----" in data:
        return KeyFile(path, b"ENCRYPTED" in data, _public(f"{path}.pub"))
    public = _public(path)
    if not public:
        raise KeyProblem("is not a private key")
    return KeyFile(path, False, public, only_public=True)


def _openssh(text: bytes) -> tuple[bool, bytes]:
    """Whether it is encrypted, and its public key: both stand in the clear (openssh-portable, PROTOCOL.key)."""
    try:
        message = paramiko.Message(base64.b64decode(text))
        magic, cipher = message.get_bytes(len(_MAGIC)), message.get_text()
        message.get_text(), message.get_binary(), message.get_int()
        public = message.get_binary()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KeyProblem("is a damaged private key") from error
    if magic != _MAGIC or not public:  # paramiko reads on behind the end, where it finds zeros
        raise KeyProblem("is a damaged private key")
    return cipher != "none", public


def _public(path: str) -> bytes:
    """The public key that a file holds; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            kind, text = stream.read().split()[:2]
        blob = base64.b64decode(text)
    except (OSError, ValueError):
        return b""
    return blob if blob[4:].startswith(kind.encode()) else b""


def load(file: KeyFile, passphrase: Secret | None = None) -> paramiko.PKey:
    """The key in a file, opened once a run. Raises KeyProblem: encrypted, another passphrase, or of an unknown kind."""
    with _LOADING:
        return _loaded(file, passphrase.reveal() if passphrase and file.encrypted else "")


@functools.cache
def _loaded(file: KeyFile, passphrase: str) -> paramiko.PKey:
    if file.only_public:
        raise KeyProblem("is neither in a file nor in ssh-agent: only its public key is here")
    if file.encrypted and not passphrase:
        raise KeyProblem("is encrypted")
    kind = paramiko.Message(file.public).get_text() if file.public else ""
    try:
        with open(file.path, encoding="ascii") as stream:
            text = stream.read()
        if file.encrypted or kind not in _CLASSES or not text.startswith("-----BEGIN OPENSSH"):
            text, kind = _reencoded(text.encode(), passphrase)
        return _CLASSES[kind].from_private_key(io.StringIO(text))
    except KeyError:
        raise KeyProblem(f"has a type ({kind or 'unknown'}) that only ssh-agent can use: add it with ssh-add") from None
    except (ValueError, TypeError, paramiko.SSHException) as error:
        raise KeyProblem(
            "cannot be decrypted with this passphrase" if file.encrypted else f"cannot be read: {error}"
        ) from None


def _reencoded(data: bytes, passphrase: str) -> tuple[str, str]:
    """A key of any format that OpenSSH reads, in OpenSSH's own and open, and its type. Only in memory."""
    from cryptography.hazmat.primitives import serialization as form

    reader = form.load_ssh_private_key if data.startswith(b"-----BEGIN OPENSSH") else form.load_pem_private_key
    key = reader(data, passphrase.encode() or None)
    decrypted = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()).decode("ascii")
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return decrypted, public.split()[0].decode()


class Agent(AgentSSH):
    """ssh-agent at the socket that OpenSSH would use for a host; without keys where there is none."""

    def __init__(self, hop: Hop) -> None:
        super().__init__()
        named = hop.values.get("identityagent", ("SSH_AUTH_SOCK",))[0]
        path = os.environ.get(named.lstrip("$"), "") if named == "SSH_AUTH_SOCK" or named[0] == "$" else hop.path(named)
        if path and path != "none":
            self._open(path)

    def _open(self, path: str) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(60)  # it may ask its owner
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]  # not in the stubs
        except (OSError, paramiko.SSHException):
            connection.close()

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


def identities(
    hop: Hop, agent: Agent, named: Sequence[str] = (), passphrases: Mapping[str, Secret] = MappingProxyType({})
) -> Iterator[Identity]:
    """The keys to try for a host, in OpenSSH's order (sshconnect2.c, pubkey_prepare): certificates, keys of the agent
    that are in its files, the agent's others unless IdentitiesOnly, files.

    ``named`` are files that the inventory or the command line names: they come first, and must be usable.
    Raises Unreachable where one is not.
    """
    in_agent = {key.blob: key for key in agent.get_keys()}
    used: set[bytes] = set()
    for path in named:
        yield from _of_file(path, hop, in_agent, used, passphrases, must=True)
    configured = [path for path in hop.identity_files if path not in named]
    for path in configured:
        yield from _of_file(path, hop, in_agent, used, passphrases, only_agent=True)
    if hop.first("identitiesonly") != "yes":
        for blob, key in in_agent.items():
            if blob not in used:
                yield Identity(f"{key.comment or key.get_name()} (ssh-agent)", _of_agent(key))
    for path in configured:
        yield from _of_file(path, hop, in_agent, used, passphrases)


def _of_file(
    path: str,
    hop: Hop,
    in_agent: dict[bytes, AgentKey],
    used: set[bytes],
    passphrases: Mapping[str, Secret],
    must: bool = False,
    only_agent: bool = False,
) -> Iterator[Identity]:
    """A file's key, from the agent if that has it; before it its certificate."""
    try:
        file = read(path)
        if file.public and file.public in used:
            return
        key = in_agent.get(file.public)
        if key is None and only_agent:
            return
        found = _of_agent(key) if key is not None else load(file, passphrases.get(path))
    except (OSError, KeyProblem) as error:
        if must:
            raise unusable(path, error) from error
        return
    used.add(file.public or found.asbytes())
    title = f"{path} (ssh-agent)" if key is not None else path
    for certificate in _certificates(path, hop, found):
        yield Identity(f"{title} with its certificate", certificate)
    yield Identity(title, found)


def unusable(path: str, error: Exception) -> Unreachable:
    """The error for a key that was named and cannot be used."""
    if isinstance(error, OSError):
        return Unreachable(f"{path}: {error.strerror}", "check ansible_ssh_private_key_file")
    fix = "name a private key in ansible_ssh_private_key_file"
    if "encrypted" in str(error) or "passphrase" in str(error):
        fix = "load it into ssh-agent (ssh-add), or give its passphrase in ENCAMP_SSH_PASSPHRASE"
    return Unreachable(f"the private key {path} {error}", fix)


def _of_agent(key: AgentKey) -> paramiko.PKey:
    """A key of the agent; a certificate there is offered as one."""
    if "-cert-" in key.get_name():
        key.public_blob = PublicBlob(key.get_name(), key.blob)  # type: ignore[assignment]
    return key


def _certificates(path: str, hop: Hop, key: paramiko.PKey) -> Iterator[paramiko.PKey]:
    """The key with each OpenSSH certificate of its own: ``KEY-cert.pub``, and what CertificateFile names."""
    for name in (f"{path}-cert.pub", *hop.files("certificatefile")):
        try:
            blob = PublicBlob.from_file(name)
        except (OSError, ValueError):
            continue
        if _certified(blob) == key.asbytes():
            yield _Certified(key, blob)


def _certified(blob: PublicBlob) -> bytes:
    """The public key inside a certificate."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    text = f"{blob.key_type} ".encode() + base64.b64encode(blob.key_blob)
    try:
        found = serialization.load_ssh_public_identity(text)
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if not isinstance(found, serialization.SSHCertificate):
        return b""
    public = found.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(public.split()[1])


class _Certified(paramiko.PKey):
    """A key that is offered with a certificate. The key itself stays as it is: other hosts may want it without."""

    def __init__(self, key: paramiko.PKey, blob: PublicBlob) -> None:
        self._key, self.public_blob = key, blob

    def get_name(self) -> str:
        return str(self._key.get_name())

    def asbytes(self) -> bytes:
        return bytes(self._key.asbytes())

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        return self._key.sign_ssh_data(data, algorithm)
