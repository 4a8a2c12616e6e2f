"""The settings a server resolved, from ``/api/admin/settings``, against those that were written."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Mapping

MASKED = re.compile(r"^\*+$")


def differing(resolved: Any, expected: Mapping[str, str]) -> Iterator[str]:
    """What differs, for people. ``expected`` maps dotted paths to the values written."""
    for path, wanted in expected.items():
        found = resolved
        for name in path.split("."):
            found = found.get(name, KeyError) if isinstance(found, dict) else KeyError
        if found is KeyError:
            yield f"{path} is unknown to this release (written: {wanted})"
        elif not same_value(found, wanted):
            yield f"{path} is {as_text(found) or 'unset'} (written: {wanted})"


def as_text(value: Any) -> str:
    """A resolved setting as one would write it: true, 4200, the text itself; None is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def same_value(found: Any, wanted: str) -> bool:
    """Whether a resolved value is the one written. Numbers compare as numbers; a masked secret counts when set."""
    text = as_text(found)
    if MASKED.match(text) and wanted:
        return True
    try:
        return float(text) == float(wanted)
    except ValueError:
        return text.rstrip("/").lower() == wanted.rstrip("/").lower()
