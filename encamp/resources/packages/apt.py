"""What dpkg has installed."""

from __future__ import annotations

import re
from typing import Mapping

from encamp.resources.system import Reader

INSTALLED = "installed"
ABSENT = "absent"
DPKG = "/var/lib/dpkg"
#: Unattended upgrades on a first boot take this long on a small machine.
LOCK_SECONDS = 900

_STANZA_FIELDS = re.compile(rb"^(Package|Status|Provides): (.*)$", re.MULTILINE)


def parse_status(data: bytes) -> dict[str, str]:
    """Read dpkg's status file: package name to state, such as installed or half-configured.

    Names provided by installed packages count as installed, and so does a package installed for any architecture.
    """
    states: dict[str, str] = {}
    provided: list[str] = []
    for stanza in data.split(b"\n\n"):
        fields = dict(_STANZA_FIELDS.findall(stanza))
        words = fields.get(b"Status", b"").split()
        if len(words) != 3:
            continue
        state = words[2].decode() if words[1] == b"ok" else words[1].decode()
        name = fields.get(b"Package", b"").decode("utf-8", "replace")
        if state == INSTALLED:
            provided.extend(_provided_names(fields.get(b"Provides", b"")))
        if states.get(name) != INSTALLED:
            states[name] = ABSENT if state in ("not-installed", "config-files") else state
    for name in provided:
        if states.get(name, ABSENT) == ABSENT:
            states[name] = INSTALLED
    return states


def _provided_names(field: bytes) -> list[str]:
    return [entry.split()[0].decode("utf-8", "replace") for entry in field.split(b",") if entry.strip()]


def states(host: Reader) -> Mapping[str, str]:
    """Every package known to dpkg, and its state. Read once for all Packages on a host, without a process."""
    return host.once("dpkg status", lambda: parse_status(host.read(f"{DPKG}/status") or b""))


def interrupted(host: Reader) -> bool:
    """Whether dpkg was interrupted (or is running now): apt then refuses to do anything."""
    return any(name.isdigit() for name in host.listdir(f"{DPKG}/updates"))
