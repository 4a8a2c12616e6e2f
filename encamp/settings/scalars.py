"""Texts, numbers, truth values and words of a choice, as YAML gives them; each refusal says what to write instead."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from encamp.errors import Origin
from encamp.secrets.vault.values import VEIL, Decrypted, holds_secret
from encamp.shared.record import record
from encamp.support.urls import without_login


@record
class ValuePath:
    """Which value is looked at: its key, such as ``pools[0].name``, its line, and its text where it came untyped.

    ``lines``: a secret there may have several.
    """

    key: str
    origin: Origin
    text: str | None = None
    lines: bool = False

    def below(self, key: str, line: int = 0, lines: bool = False) -> ValuePath:
        """A value inside this one."""
        return ValuePath(self.key + key, Origin(self.origin.file, line or self.origin.line), lines=lines)


class Invalid(Exception):
    """A value that does not fit."""

    def __init__(self, place: ValuePath, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message, self.fix, self.origin = f"{place.key} {message}", fix, place.origin


def text(data: Any, place: ValuePath) -> str:
    """A text. What YAML took for something else is one only where it came untyped. Raises Invalid."""
    if place.text is not None and not isinstance(data, (str, dict, list)):
        return place.text
    if isinstance(data, str):
        return data if isinstance(data, Decrypted) else str(data)
    if data is None:
        raise Invalid(place, "has no value", 'give it a value, write "" for none, or remove the line')
    if isinstance(data, (bool, int, float, datetime.date)):
        fix = f'write it in quotes, as in {place.key}: "..."'
        raise Invalid(place, f"must be a text, but YAML reads it as {_kind(data)} {shown(data)}", fix)
    raise Invalid(place, f"must be a text, not {_kind(data)}", f"write it as {place.key}: value")


def choice(choices: tuple[Any, ...], data: Any, place: ValuePath) -> Any:
    """One of some words or numbers. Raises Invalid."""
    if isinstance(data, bool) and ("off", "on")[data] in choices:
        return ("off", "on")[data]  # YAML 1.1, as Ansible reads it, takes the bare word for a truth value
    for one in choices:
        if data == one and isinstance(data, bool) == isinstance(one, bool):
            return one
    listed = ", ".join(map(str, choices))
    near = "" if holds_secret(data) else nearest(str(data), dict.fromkeys(map(str, choices)))
    fix = near if isinstance(data, str) and near.startswith("did") else ""
    if not isinstance(data, str) and shown(data) in choices:
        fix = f'write it in quotes, as in {place.key}: "..."'
    raise Invalid(place, f"must be one of {listed}, not {shown(data)}", fix)


def plain(hint: Any, data: Any, place: ValuePath) -> Any:
    """A truth value or a number, as ``hint`` says. Raises Invalid."""
    kinds: dict[Any, Callable[[Any, ValuePath], Any]] = {bool: _bool, int: _int, float: _float}
    if hint not in kinds:
        raise TypeError(f"no setting can be of type {hint}")
    return kinds[hint](data, place)


def _bool(data: Any, place: ValuePath) -> bool:
    if isinstance(data, bool):
        return data
    fix = f"write {place.key}: true or {place.key}: false, without quotes"
    raise Invalid(place, f"must be true or false, not {_kind(data)} {shown(data)}", fix)


def _int(data: Any, place: ValuePath) -> int:
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    is_number = isinstance(data, str) and data.isdecimal() and not holds_secret(data)
    fix = f"write {place.key}: {data}, without quotes" if is_number else ""
    raise Invalid(place, f"must be a whole number, not {_kind(data)} {shown(data)}", fix)


def _float(data: Any, place: ValuePath) -> float:
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    raise Invalid(place, f"must be a number, not {_kind(data)} {shown(data)}", "write it without quotes")


def _kind(data: Any) -> str:
    kinds = {bool: "the truth value", int: "the number", float: "the number", dict: "the mapping", list: "the list"}
    for kind, name in kinds.items():
        if isinstance(data, kind):
            return name
    return "the date" if isinstance(data, datetime.date) else "the text"


def shown(data: Any) -> str:
    """A value as YAML writes it; nothing of a secret one."""
    if holds_secret(data):
        return VEIL
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, str):
        return repr(without_login(str(data)))
    return "nothing" if data is None else str(data)


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """The fix for a name that is not known."""
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
