"""Reads the files that units name with ``EnvironmentFile=`` (systemd.exec(5))."""

from __future__ import annotations

import re


def environment_of(text: str) -> dict[str, str]:
    """The variables of an ``EnvironmentFile=`` (systemd.exec(5)): bare, or in double quotes with escapes."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = re.sub(r"\\([\\\"$`])", r"\1", value[1:-1])
        found[name.strip()] = value
    return found
