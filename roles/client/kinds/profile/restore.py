"""Undo encamp's changes to a profiles file: exactly, or by structure where someone edited it since."""

from __future__ import annotations

import copy
from typing import Optional

from encamp.shared.record import record, replace
from roles.client.kinds.profile import edit as profile_edit
from roles.client.kinds.profile.edit import Edit, Keep, plain
from roles.client.kinds.profile.record import REMOVED, FileRecord, ProfileRecord, digest


@record
class Restored:
    """A file without one profile of encamp. ``data`` None: no file. ``mode`` None: as it is. ``record``: what remains.

    ``exact`` says that it is what was there before, byte for byte, or would be but for other profiles of encamp.
    """

    data: Optional[bytes]
    mode: Optional[int]
    record: FileRecord
    exact: bool


def restored(data: Optional[bytes], record: FileRecord, profile: str) -> Restored:
    """The file without ``profile``, which ``record`` knows. Raises InvalidToml where an edited file is not TOML."""
    untouched = data is not None and digest(data) == record.wrote
    left = copy.deepcopy(record)
    entry = left.profiles.pop(profile)
    for other in left.profiles.values():
        other.active = entry.active if other.active == profile else other.active
    if untouched and not left.profiles:
        return Restored(record.before, record.mode, left, True)
    if data is None:
        return Restored(None, None, replace(left, made_directory=False), True)
    after = without_profile(data.decode("utf-8"), profile, entry).encode()
    if not after.strip() and record.before is None and not left.profiles:
        return Restored(None, None, left, untouched)
    if untouched:
        left.wrote = digest(after)
    return Restored(after, None, left, untouched)


def without_encamp(text: str, record: FileRecord) -> str:
    """The text as it would be had encamp never written to it: what others changed since stays."""
    for profile, entry in reversed(list(record.profiles.items())):
        text = without_profile(text, profile, entry)
    return text


def without_profile(text: str, profile: str, entry: ProfileRecord) -> str:
    """``text`` with one profile's values put back, where they are still those that encamp wrote."""
    now = profile_edit.read(text)
    table = now.tables.get(profile, {})
    values = {key: entry.previous.get(key) for key, wrote in entry.wrote.items() if _is_ours(table.get(key), wrote)}
    ours = entry.activated and now.active == profile
    return profile_edit.edited(text, Edit(profile, values, entry.active if ours else Keep(), prune=not entry.existed))


def _is_ours(value: Optional[str], wrote: str) -> bool:
    """Whether a key is as encamp left it: with the value it wrote, or removed."""
    return wrote == REMOVED if value is None else wrote == digest(plain(value).encode())
