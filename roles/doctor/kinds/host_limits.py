"""What flow runs met on a worker's host: paths that its unit shuts, programs and keys that are missing.

Taken from the unit's journal, into which a worker writes what its flow runs print. Whether a path is shut by the unit
or by the host itself is looked up, not guessed.
"""

from __future__ import annotations

import re
from typing import Callable, Optional, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import record
from roles.doctor.kinds.findings import Finding, warn

LINES = 3000
HIDDEN = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")
ENVIRONMENTS = "/opt/prefect/envs"

_PATH = r"(?:'(?P<quoted>/[^']+)'|‘(?P<curled>/[^’]+)’|(?P<bare>/[^\s:'\"]+))"
#: The system's words for what a path is refused for, beside the path: before it (Python) or after it (a shell).
REFUSED = re.compile(
    rf"(?P<word>Read-only file system|Permission denied|No such file or directory): {_PATH}"
    rf"|{_PATH.replace('?P<', '?P<shell_')}: (?P<shell_word>Read-only file system|Permission denied)"
)


@record
class Unit:
    """A worker's unit: its file's text, the account that it runs as, and its name."""

    name: str
    text: str
    user: str

    def opens(self, path: str) -> bool:
        """Whether a directive lets it use a path."""
        lines = re.findall(r"(?m)^(?:ReadWrite|Bind|BindReadOnly)Paths=(.*)$", self.text)
        return any(_is_below(path, opened) for line in lines for opened in line.split())

    def has(self, line: str) -> bool:
        """Whether a line is in it."""
        return re.search(rf"(?m)^{re.escape(line)}$", self.text) is not None


@record
class Limit:
    """A limit without a path: how it is recognized, what it is, its cause, and the setting that opens it."""

    pattern: str
    text: str
    cause: str
    fix: str


LIMITS = (
    Limit(
        r"No such file or directory: 'git'|git: (?:command )?not found",
        "a flow run found no git",
        "git is not installed on this host, or not in the worker's PATH",
        "set system_packages: [git] for this worker (the default), then run `fab deploy`",
    ),
    Limit(
        r"No module named '?pip\b",
        "a flow run was to install Python packages, and the worker's environment has no pip",
        "the environment is locked: its packages come from a lock with hashes",
        "set pip: true for this worker, or lock the packages: packages: [...]; then run `fab deploy`",
    ),
    Limit(
        r"Host key verification failed",
        "a flow run did not clone: the git server's host key is unknown, or has changed",
        "no known_hosts of this worker or host has that key",
        "set known_hosts: with what `ssh-keyscan HOST` prints, compared with the server's own word",
    ),
    Limit(
        r"Permission denied \((?:[a-z-]+,)*publickey",
        "a flow run did not clone: the git server refuses the SSH key, or was offered none",
        "the worker has no deploy_key, or the git server does not know it",
        "set deploy_key: for this worker, and add its public key to the repository",
    ),
    Limit(
        r'"no new privileges" flag is set|must be setuid root|effective uid is not 0',
        "a flow run was to gain privileges (sudo)",
        "the worker's unit forbids that (NoNewPrivileges)",
        "set sandbox: false for this worker, if its flows are to have them",
    ),
    Limit(
        r"(?:permission denied|Permission denied)[^\n]*docker\.sock|docker\.sock[^\n]*[Pp]ermission denied",
        "a flow run may not use Docker's socket",
        "the worker's account is not in the socket's group",
        "set groups: [docker] for this worker; that gives its flows root's rights on this host",
    ),
)


def met(host: Reader, unit: Unit, journal: str) -> Optional[Finding]:
    """The last limit that a flow run met, by the unit's journal; None where there is none that we know."""
    for line in reversed(journal.splitlines()):
        finding = _without_path(line) or _with_path(host, unit, line)
        if finding:
            return finding
    return None


def _without_path(line: str) -> Optional[Finding]:
    limit = next((limit for limit in LIMITS if re.search(limit.pattern, line)), None)
    return warn(limit.text, limit.cause, limit.fix) if limit else None


def _with_path(host: Reader, unit: Unit, line: str) -> Optional[Finding]:
    found = REFUSED.search(line)
    if not found:
        return None
    named = found.groupdict()
    word = named["word"] or named["shell_word"]
    path = next(value for name, value in named.items() if value and not name.endswith("word"))
    return EXPLAINED[word](host, unit, path)


def _read_only(host: Reader, unit: Unit, path: str) -> Optional[Finding]:
    text = f"a flow run could not write {path}: Read-only file system"
    if _is_below(path, ENVIRONMENTS):
        cause = "the worker's locked environment is root's, and read-only"
        return warn(text, cause, "set pip: true for this worker, then run `fab deploy`")
    place = _present(host, path)
    if _mounted_read_only(host, place):
        return warn(text, f"this host itself has mounted it read-only (findmnt -T {place})", "mount it for writing")
    if unit.opens(path) or not unit.has("ProtectSystem=strict"):
        return warn(text, "its mount was read-only when the worker started", f"systemctl restart {unit.name}")
    cause = "the worker's unit makes everything read-only that its settings do not open (ProtectSystem)"
    return warn(text, cause, f"set writable_paths: [{place}] for this worker, then run `fab deploy`")


def _denied(host: Reader, unit: Unit, path: str) -> Optional[Finding]:
    text = f"a flow run was refused {path}: Permission denied"
    if _is_hidden(unit, path):
        return _hidden(host, text, path)
    place = _present(host, path)
    return warn(
        text,
        f"the permissions of {place} or of a directory above it; then: AppArmor or SELinux",
        f"`runuser -u {unit.user} -- ls -ld {path}` shows whether the account may; setfacl, or groups: of this worker",
    )


def _absent(host: Reader, unit: Unit, path: str) -> Optional[Finding]:
    """A path that this host has, and the worker does not see."""
    if host.stat(path) is None:
        return None
    text = f"a flow run did not find {path}, which this host has"
    if path.startswith("/dev/"):
        fix = f"set devices: [{path}] for this worker, then run `fab deploy`"
        return (
            warn(text, "the worker's unit shuts devices (PrivateDevices)", fix)
            if not unit.has("PrivateDevices=no")
            else None
        )
    return _hidden(host, text, path) if _is_hidden(unit, path) else None


EXPLAINED: dict[str, Callable[[Reader, Unit, str], Optional[Finding]]] = {
    "Read-only file system": _read_only,
    "Permission denied": _denied,
    "No such file or directory": _absent,
}


def _hidden(host: Reader, text: str, path: str) -> Finding:
    cause = "the worker's unit hides homes and has a /tmp of its own (ProtectHome, PrivateTmp)"
    place = _present(host, path)
    fix = f"set readable_paths: [{place}] for this worker (writable_paths: to write there), then run `fab deploy`"
    return warn(text, cause, fix)


def _is_hidden(unit: Unit, path: str) -> bool:
    """Whether the unit has another directory at that place."""
    homes = any(unit.has(f"ProtectHome={value}") for value in ("yes", "tmpfs"))
    places: Sequence[str] = (*(HIDDEN if homes else ()), *(TEMPORARY if unit.has("PrivateTmp=yes") else ()))
    return any(_is_below(path, place) for place in places) and not unit.opens(path)


def _present(host: Reader, path: str) -> str:
    """The directory of a path that this host has: what an operator would open."""
    place = path.rpartition("/")[0]
    while place and host.stat(place) is None:
        place = place.rpartition("/")[0]
    return place or path


def _mounted_read_only(host: Reader, place: str) -> bool:
    options = host.query(["findmnt", "--noheadings", "--output", "OPTIONS", "--target", place]).out
    return "ro" in options.strip().split(",")


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other.rstrip('/')}/")
