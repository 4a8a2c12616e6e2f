"""What a server asks for in a log-in dialogue."""

from __future__ import annotations

import re

#: Words of a question for something that changes: a password is no answer to it.
_CODE = re.compile(
    r"one[- ]time|passcode|\bcode\b|\botp\b|token|verification|2fa|factor|\bpin\b|\bduo\b|challenge|yubikey",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(?<!one-time )(?<!one time )password", re.IGNORECASE)


def asks_password(prompt: str) -> bool:
    """Whether a question names the password, and no one-time password."""
    return bool(_PASSWORD.search(prompt))


def wants_password(prompt: str) -> bool:
    """Whether the password answers a hidden question. In any language: what does not ask for a code asks for it."""
    return bool(_PASSWORD.search(prompt)) or not _CODE.search(prompt)
