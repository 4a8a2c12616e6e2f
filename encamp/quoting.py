"""How values are written into the files of systemd and Compose. Handled here once, for every template."""

from __future__ import annotations

import json


def env_value(value: str) -> str:
    """A value for an ``EnvironmentFile=`` (systemd.exec(5)): double-quoted where it must be, special letters escaped.

    Raises ValueError for a line break, which would start another variable.
    """
    if "\n" in value or "\r" in value:
        raise ValueError("an environment file's value cannot hold a line break")
    if value and all(letter.isalnum() or letter in "-_./:@,+=?&" for letter in value):
        return value
    for letter in '\\"$`':
        value = value.replace(letter, f"\\{letter}")
    return f'"{value}"'


def unit_word(value: str) -> str:
    """One word of ``ExecStart=`` (systemd.service(5)): ``%`` and ``$`` doubled, quoted where it must be."""
    value = value.replace("%", "%%").replace("$", "$$")
    if value and not set(value) & set(" \t\"'\\;"):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def compose_string(value: str) -> str:
    """A string in a Compose file: double-quoted as YAML and JSON both do, ``$`` doubled, since Compose expands it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("$", "$$")
