"""URLs in messages."""

from __future__ import annotations

import re

VEIL = "***"


def without_login(text: str) -> str:
    """A text whose URLs show no user, password or query: those may be secrets."""
    bare = re.sub(r"(://)[^/\s@]+@", rf"\1{VEIL}@", text)
    return re.sub(r"(://[^\s?]+\?)[^\s#]+", rf"\1{VEIL}", bare)
