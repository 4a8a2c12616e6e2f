"""Edits of Prefect's ``profiles.toml`` as text: everything that is not asked for stays as it is, byte for byte.

tomlkit parses and changes; the result is parsed again and compared with what was wanted before anyone gets it.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Mapping, Optional

from encamp.shared.record import record

BYTE_ORDER_MARK = "\ufeff"
BARE_KEY = re.compile(r"^[A-Za-z0-9_-]+$")


class InvalidToml(ValueError):
    """The text is not TOML, or not a profiles file. ``line`` and ``column`` count from 1; 0 where unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@record
class Keep:
    """Stands for: leave the active profile as it is."""


@record
class Edit:
    """What shall be true of one profile afterwards.

    ``values`` maps a key to its TOML value as text (see :func:`quoted`), or to None where the key shall go.
    ``active`` is the profile to activate, None to have no ``active`` key. ``prune`` drops a profile that ends empty.
    """

    profile: str
    values: Mapping[str, Optional[str]]
    active: Any = Keep()
    prune: bool = False


@record
class Profiles:
    """A parsed file: the active profile's name, and each profile's keys with their values as TOML text."""

    active: Optional[str]
    tables: Mapping[str, Mapping[str, str]]


def quoted(value: str) -> str:
    """A text as a TOML value."""
    import tomlkit

    return str(tomlkit.string(value).as_string())


def plain(value: str) -> str:
    """A TOML value as the text that Prefect reads: strings without quotes, booleans in lower case."""
    import tomlkit

    data = tomlkit.value(value).unwrap()
    return str(data).lower() if isinstance(data, bool) else str(data)


def read(text: str) -> Profiles:
    """Parse a profiles file. Raises InvalidToml."""
    if text.startswith(BYTE_ORDER_MARK):
        raise InvalidToml("a byte order mark, which Prefect cannot read: save the file as UTF-8 without it", 1, 1)
    document = _parsed(text)
    active = document.get("active")
    if active is not None and not isinstance(active, str):
        raise InvalidToml("`active` must be the name of a profile, in quotes")
    tables = document.get("profiles", {})
    if not _is_table(tables) or not all(_is_table(table) for table in tables.values()):
        raise InvalidToml("`profiles` must be a table of profiles")
    found = {str(name): {str(key): _as_text(table, key) for key in table} for name, table in tables.items()}
    return Profiles(None if active is None else str(active), found)


def edited(text: str, edit: Edit) -> str:
    """``text`` with ``edit`` made. Raises InvalidToml for a file that is not one."""
    wanted = _wanted(read(text), edit)
    if _same(read(text), wanted):
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    for way in (_neatly, _plainly):
        for candidate in _attempts(way, text, edit, newline):
            if _holds(candidate, wanted):
                return candidate
    raise InvalidToml("the file cannot be edited without losing part of its content")


def _parsed(text: str) -> Any:
    import tomlkit
    from tomlkit.exceptions import ParseError, TOMLKitError

    try:
        return tomlkit.parse(text)
    except ParseError as error:
        message = re.sub(r" at line \d+ col \d+$", "", str(error))
        raise InvalidToml(message, error.line, error.col + 1) from error
    except (TOMLKitError, ValueError) as error:
        raise InvalidToml(str(error)) from error


def _is_table(item: Any) -> bool:
    return isinstance(item, Mapping)


def _item(table: Any, key: Any) -> Any:
    """The item itself: plain indexing turns booleans into Python's, which have neither text nor a place in the file."""
    return table.value.item(key)


def _as_text(table: Any, key: Any) -> str:
    """A key's value as TOML text. Tables that stand in pieces give values only, which are written anew."""
    import tomlkit

    item = _item(table, key) if hasattr(table.value, "item") else table[key]
    return str(item.as_string() if hasattr(item, "as_string") else tomlkit.item(item).as_string())


def _wanted(now: Profiles, edit: Edit) -> Profiles:
    """The data that the edited text must parse to."""
    table = dict(now.tables.get(edit.profile, {}))
    for key, value in edit.values.items():
        if value is None:
            table.pop(key, None)
        elif key not in table or plain(table[key]) != plain(value):
            table[key] = value
    tables = dict(now.tables)
    if table or (edit.profile in tables and not edit.prune):
        tables[edit.profile] = table
    else:
        tables.pop(edit.profile, None)
    return Profiles(now.active if isinstance(edit.active, Keep) else edit.active, tables)


def _same(one: Profiles, other: Profiles) -> bool:
    return one.active == other.active and one.tables == other.tables


def _holds(candidate: str, wanted: Profiles) -> bool:
    """Whether a candidate parses to what is wanted."""
    try:
        found = read(candidate)
    except InvalidToml:
        return False
    return _same(found, wanted)


def _attempts(way: Callable[..., str], body: str, edit: Edit, newline: str) -> Iterator[str]:
    """The candidate that ``way`` makes; none where tomlkit cannot."""
    from tomlkit.exceptions import TOMLKitError

    try:
        yield way(body, edit, newline)
    except (TOMLKitError, KeyError, TypeError, ValueError, AttributeError):
        return


# -- the two ways --------------------------------------------------------------------------------------------------


def _neatly(body: str, edit: Edit, newline: str) -> str:
    """Change values in place; put new lines where a person would, as text, so that nothing else can move."""
    document = _parsed(body)
    table = document.get("profiles", {}).get(edit.profile)
    added = _change_values(table, edit) if table is not None else _new_lines(edit)
    if table is not None and added:
        anchor = _last_value(table) or table
        anchor.trivia.trail = (anchor.trivia.trail or newline) + newline.join(added) + newline
    text = _with_active(document, edit, newline)
    if table is None and added:
        text = _with_profile(text, edit.profile, added, newline)
    if edit.prune and table is not None and not len(table):
        text = _without_header(text, edit.profile)
    return text


def _plainly(body: str, edit: Edit, newline: str) -> str:
    """Leave it all to tomlkit: for inline tables and dotted keys."""
    import tomlkit

    document = _parsed(body)
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    inline = isinstance(profiles, tomlkit.items.InlineTable)
    table = profiles.setdefault(edit.profile, tomlkit.inline_table() if inline else tomlkit.table())
    for key, value in edit.values.items():
        if value is None:
            table.pop(key, None)
        elif key not in table or plain(_as_text(table, key)) != plain(value):
            table[key] = tomlkit.value(value)
    if edit.prune and not len(table):
        profiles.pop(edit.profile)
    return _with_active(document, edit, newline)


def _change_values(table: Any, edit: Edit) -> list[str]:
    """Change and remove keys that are there; the lines of those that are not come back."""
    import tomlkit

    for key, value in edit.values.items():
        if key in table and value is None:
            table.remove(key)
        elif key in table and value is not None and plain(_as_text(table, key)) != plain(value):
            table[key] = tomlkit.value(value)
    return [f"{key} = {value}" for key, value in edit.values.items() if value is not None and key not in table]


def _new_lines(edit: Edit) -> list[str]:
    return [f"{key} = {value}" for key, value in edit.values.items() if value is not None]


def _last_value(table: Any) -> Any:
    """The last key's item, after whose line new keys go; None in a table without simple keys."""
    simple = [item for item in (_item(table, key) for key in table) if not _is_table(item)]
    return simple[-1] if simple else None


def _with_active(document: Any, edit: Edit, newline: str) -> str:
    """The document as text, with the active profile set. A new ``active`` line becomes the first line."""
    import tomlkit

    if isinstance(edit.active, Keep) or document.get("active") == edit.active:
        return str(tomlkit.dumps(document))
    if edit.active is None:
        document.remove("active")
    elif "active" in document:
        document["active"] = edit.active
    else:
        return f"active = {quoted(edit.active)}{newline}{tomlkit.dumps(document)}"
    return str(tomlkit.dumps(document))


def _with_profile(text: str, profile: str, lines: list[str], newline: str) -> str:
    """A new profile goes to the end."""
    if text and not text.endswith("\n"):
        text += newline
    gap = newline if text.strip() else ""
    name = profile if BARE_KEY.match(profile) else quoted(profile)
    return text + gap + newline.join([f"[profiles.{name}]", *lines]) + newline


def _without_header(text: str, profile: str) -> str:
    """Drop the header of an empty profile, and one blank line before it; comments after it are someone else's."""
    names = "|".join(re.escape(name) for name in (profile, quoted(profile), f"'{profile}'"))
    header = rf"(?m)(?:^[ \t]*\r?\n)?^[ \t]*\[[ \t]*profiles[ \t]*\.[ \t]*(?:{names})[ \t]*\][^\r\n]*(?:\r?\n|\Z)"
    return re.sub(header, "", text, count=1)
