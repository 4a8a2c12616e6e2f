"""Releases in an order."""

from __future__ import annotations

import re

#: The first release with GET /api/ready, for a server whose release is not known when a plan is made.
READY_SINCE = (2, 10, 11)


def version_key(version: str) -> tuple[int, ...]:
    """A version to compare by: its leading numbers (3.8.8rc1 counts as 3.8.8)."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else [0]
    return tuple([*parts, 0, 0, 0][:3])
