"""How a worker's git reaches its servers over SSH: a key, and the host keys that it trusts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence

from encamp.errors import SettingsError
from encamp.resources.files.file import File
from encamp.settings.convert import UNREAD
from encamp.shared.secret import Secret
from encamp.site import SiteHost
from roles.prefect.files import read_text
from roles.prefect.layout import Layout
from roles.worker.host_access import HostAccess

MARK = "# Managed by encamp: changes made here are undone by the next deploy."
#: The cipher of an unencrypted key, where OpenSSH's own format names it (PROTOCOL.key of OpenSSH).
OPEN_KEY = b"openssh-key-v1\0\0\0\0\4none"


def variables(spec: HostAccess, layout: Layout, kind: str, label: str) -> dict[str, str | Secret]:
    """The variable that makes git use them. By name, not by ~/.ssh: OpenSSH looks for that where the account lives.

    OpenSSH never asks: nobody could answer. It also trusts the host's own /etc/ssh/ssh_known_hosts.
    """
    if not spec.uses_ssh:
        return {}
    words = ["ssh", "-o", "BatchMode=yes"]
    if spec.deploy_key is not None:
        words += ["-i", layout.runner_key(kind, label), "-o", "IdentitiesOnly=yes"]
    if spec.known_hosts:
        words += ["-o", f"UserKnownHostsFile={layout.runner_known_hosts(kind, label)}"]
    return {"GIT_SSH_COMMAND": " ".join(words)}


def paths(spec: HostAccess, layout: Layout, kind: str, label: str) -> list[str]:
    """The files that :func:`files` makes."""
    key = [layout.runner_key(kind, label)] if spec.deploy_key is not None else []
    return key + ([layout.runner_known_hosts(kind, label)] if spec.known_hosts else [])


def files(host: SiteHost, spec: HostAccess, layout: Layout, kind: str, label: str, user: str) -> Iterator[File]:
    """The key, which only ``user`` can read (OpenSSH refuses others), and the host keys. Raises SettingsError."""
    if spec.deploy_key is not None:
        key = _checked(host, spec.deploy_key, kind)
        yield File(layout.runner_key(kind, label), key, user, "", 0o600)
    if spec.known_hosts:
        yield File(layout.runner_known_hosts(kind, label), _known_hosts(host, spec.known_hosts, kind))


def _known_hosts(host: SiteHost, entries: Sequence[str], kind: str) -> str:
    """Lines of known_hosts. An entry of one word is a file of the controller."""
    key = f"{kind}s[].known_hosts"
    where = host.origin(f"{kind}s")
    try:
        texts = [entry if len(entry.split()) > 1 else read_text(key, entry, host) for entry in entries]
    except SettingsError as error:
        raise SettingsError(error.message, error.fix, where) from None
    lines = [line.strip() for text in texts for line in text.splitlines()]
    for line in lines:
        if line and not line.startswith("#") and len(line.split()) < 3:
            fix = "use lines such as `ssh-keyscan -H HOST` prints: NAME TYPE KEY"
            raise SettingsError(f"{host.name}: {key}: {line!r} is not a line of known_hosts", fix, where)
    return "".join(f"{line}\n" for line in [MARK, *lines])


def _checked(host: SiteHost, key: Secret, kind: str) -> Secret:
    """The key, ending in a line break as OpenSSH wants it. Raises SettingsError, without any part of it."""
    if key is UNREAD:
        return key
    text = key.reveal().replace("\r\n", "\n").strip() + "\n"
    problem = _problem(text)
    if problem:
        raise SettingsError(f"{host.name}: deploy_key {problem[0]}", problem[1], host.origin(f"{kind}s"))
    return Secret(text)


def _problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a private key, and what to do."""
    first, *rest = text.splitlines()
    if first.startswith(("ssh-", "ecdsa-", "sk-")):
        return "is a public key", "use the private key: the file without .pub"
    if not (first.startswith("-----BEGIN ") and first.endswith("PRIVATE KEY-----")):
        return "is not a private key in PEM format", "make one with `ssh-keygen -t ed25519 -N '' -f deploy_key`"
    encrypted = "ENCRYPTED" in first or any("ENCRYPTED" in line for line in rest[:2])
    if encrypted or (first == "-----BEGIN OPENSSH PRIVATE KEY-----" and not _is_open(rest[:-1])):
        return (
            "has a passphrase, or is cut off",
            "nobody can type one on a worker: `ssh-keygen -p -N '' -f KEY` removes it",
        )
    return None


def _is_open(lines: Sequence[str]) -> bool:
    try:
        return base64.b64decode("".join(lines)).startswith(OPEN_KEY)
    except binascii.Error:
        return False
