"""How values are written into systemd's files. Handled here once, for every template."""

from __future__ import annotations


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
