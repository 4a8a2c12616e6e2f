"""Which variables of a program are taken for secrets though they are written as plain text.

Shipped to hosts: Python 3.9 syntax, standard library only.
"""

from __future__ import annotations

import re

#: Names of secrets: by a word between underscores, by the last word, by an ending. And of files that hold them.
_WORDS = re.compile(
    r"(?:^|_)(?:PASS|PASSWD|PASSWORDS?|PASSPHRASE|PWD|TOKENS?|SECRETS?|CREDENTIALS?|HEADERS)(?:_|$)"
    r"|(?:^|_)(?:KEYS?|AUTH_STRING)$|(?:PASSWORD|TOKEN|SECRET|APIKEY)$",
    re.IGNORECASE,
)
_FILES = re.compile(r"_(?:FILE|PATH|DIR)$", re.IGNORECASE)
#: As in encamp.support.urls: up to the last @ before a slash; or a password that holds a slash. h:4200/a@b has none.
_LOGIN = re.compile(r"://(?:[^/\s]+|[^/\s@:]+:(?!\d+/)\S+)@")


def may_be_secret(name: str, value: str) -> bool:
    """Whether a variable may hold a secret: by its name, or because its value is a URL with a login.

    Such a value is kept out of diffs, plans, caches and listings, as one from a secret's source is.
    """
    return bool((_WORDS.search(name) and not _FILES.search(name)) or _LOGIN.search(value))
