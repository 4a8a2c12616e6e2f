"""What is shown of a hand-made server holds none of its secrets: of its settings, its environment and its URLs."""

from __future__ import annotations

import re
from typing import Iterator, Optional
from urllib.parse import unquote

from encamp.shared.secret_names import is_secret
from roles.adopt.kinds.inquiry import Answer
from roles.adopt.kinds.processes import Process

VEIL = "***"
#: The login of a URL: up to the last @ before the query, as a password need not be percent-encoded.
_LOGIN = re.compile(r"(\w://)(?:[^\s?#'\"]*)@")
_QUERY = re.compile(r"([?&](?:\w*password|token|secret|key|sig)=)[^&\s'\"]*", re.IGNORECASE)
#: The user, the password and what follows, as SQLAlchemy takes a URL apart.
_PARTS = re.compile(r"\w://([^:/@]*):(.*)@([^@?]*)")
#: A shorter text is in too many others.
_SHORTEST = 4


def shown_url(text: str) -> str:
    """A URL, or a text with one, without user and password."""
    return _QUERY.sub(rf"\1{VEIL}", _LOGIN.sub(rf"\1{VEIL}@", text))


def without_login(url: str) -> str:
    """A URL that anybody may be given: whoever needs its login has one."""
    return re.sub(r"(\w://)[^\s?#]*@", r"\1", url)


def veiled(text: str, process: Process, answer: Optional[Answer]) -> str:
    """What a program printed, for people: no secret that it was given stands in it."""
    for secret in sorted(set(_secrets(process, answer)), key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, VEIL)
    return shown_url(text)


def _secrets(process: Process, answer: Optional[Answer]) -> Iterator[str]:
    given = dict(process.environment)
    if answer is not None:
        given.update({name: value.reveal() for name, value in answer.given.items()})
        given["DATABASE_URL"] = answer.database_url.reveal()
        given["AUTH_STRING"] = answer.auth.reveal() if answer.auth else ""
    for name, value in given.items():
        parts = _PARTS.search(value)
        if parts and parts[2] not in (parts[1], parts[3]):
            yield from (parts[2], unquote(parts[2]))
        elif is_secret(name, value):
            yield value
            if name.endswith("AUTH_STRING"):
                yield value.partition(":")[2]
