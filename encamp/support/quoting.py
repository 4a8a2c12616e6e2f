"""How values are written into the files of systemd and Compose. Handled here once, for every template."""

from __future__ import annotations

import json
import re

#: Unicode's noncharacters. systemd takes a text that holds one for no text, and ignores the variable.
_NONE = "\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
#: What a text of one line may not hold, and what that is called. Tab is the one control character that is harmless.
_UNFIT = (
    ("a line break", "[\r\n]"),
    ("a NUL character", "\0"),
    ("a control character", "[\x01-\x08\x0b-\x1f\x7f]"),
    ("a code that is not a character (such as U+FFFF)", f"[{_NONE}]"),
)


def invalid_characters(value: str) -> str | None:
    """What a value contains that a file of settings cannot pass to a program; None for a valid one."""
    return next((what for what, pattern in _UNFIT if re.search(pattern, value)), None)


def env_value(value: str) -> str:
    """A value for an ``EnvironmentFile=`` (systemd.exec(5)): double-quoted where it must be, special letters escaped.

    Raises ValueError for a line break, which would start another variable, and for what systemd would ignore.
    """
    _refuse(value, "an environment file's value")
    if value and all(letter.isalnum() or letter in "-_./:@,+=?&" for letter in value):
        return value
    for letter in '\\"$`':
        value = value.replace(letter, f"\\{letter}")
    return f'"{value}"'


def _refuse(value: str, where: str) -> None:
    problem = invalid_characters(value)
    if problem:
        raise ValueError(f"{where} cannot contain {problem}")


def unit_word(value: str) -> str:
    """One word of ``ExecStart=`` (systemd.service(5)): ``%`` and ``$`` doubled, quoted where it must be.

    Raises ValueError for a line break, and for what systemd would not take.
    """
    _refuse(value, "a word of a command")
    value = value.replace("%", "%%").replace("$", "$$")
    if value and not set(value) & set(" \t\"'\\;"):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def compose_string(value: str) -> str:
    """A string in a Compose file: double-quoted as YAML and JSON both do, ``$`` doubled, since Compose expands it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").replace("$", "$$")
