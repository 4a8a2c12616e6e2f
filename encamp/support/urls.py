"""URLs in messages."""

from __future__ import annotations

import re

VEIL = "***"
#: Up to the last @ before a slash; or a password that was not percent-encoded and holds a slash. h:4200/a@b has none.
_LOGIN = re.compile(r"(://)(?:[^/\s]+|[^/\s@:]+:(?!\d+/)\S+)@")


def without_login(text: str) -> str:
    """A text whose URLs show no user, password or query: those may be secrets."""
    bare = _LOGIN.sub(rf"\1{VEIL}@", text)
    return re.sub(r"(://[^\s?]+\?)[^\s#]+", rf"\1{VEIL}", bare)
