"""What an edit of a profiles file means, without its secrets."""

from __future__ import annotations

import re
from typing import Optional

from encamp.resources.base import Change
from roles.client.kinds.profile import edit as profile_edit
from roles.client.kinds.profile.edit import plain
from roles.prefect.kinds.api import without_password

SECRET_NAME = re.compile(r"KEY|AUTH_STRING|PASSWORD|TOKEN|SECRET|HEADERS|CONNECTION_URL")
VALUE = r"\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|[^\n#,}]+"
PAIR = re.compile(rf"(\w+)([\"']?\s*=\s*)({VALUE})")


def describe(before: str, after: str, profile: str) -> list[Change]:
    """What an edit means, for people. Secrets show as ``***``."""
    then, now = profile_edit.read(before), profile_edit.read(after)
    old, new = then.tables.get(profile), now.tables.get(profile)
    changes = []
    if (old is None) != (new is None):
        changes.append(Change(f"profile {profile}", *(("present", "absent") if new is None else ("absent", "present"))))
    for key in dict.fromkeys([*(new or {}), *(old or {})]):
        one, other = (old or {}).get(key), (new or {}).get(key)
        if (one is None) != (other is None) or (one and other and plain(one) != plain(other)):
            changes.append(Change(key, _shown(key, one), _shown(key, other)))
    if then.active != now.active:
        changes.append(Change("active profile", then.active or "none", now.active or "none"))
    return changes


def redacted(text: str) -> str:
    """A profiles file fit to be shown."""
    return without_password(PAIR.sub(lambda pair: _redacted_pair(pair[1], pair[2], pair[3]), text))


def _redacted_pair(key: str, sign: str, value: str) -> str:
    return f"{key}{sign}***" if SECRET_NAME.search(key) else f"{key}{sign}{value}"


def _shown(key: str, value: Optional[str]) -> str:
    if value is None:
        return "absent"
    return "***" if SECRET_NAME.search(key) else without_password(plain(value))
