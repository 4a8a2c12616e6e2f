"""Which variables of a program hold secrets, and what may be shown of a text with such variables.

Shipped to hosts: Python 3.9 syntax, standard library only.
"""

from __future__ import annotations

import re

#: What the name of a variable that holds a secret ends in. Texts, not compiled: most runs need none of them.
_SECRET_NAME = (
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|APIKEY|AUTH_STRING)$"
    r"|(?:^|_)(?:KEY|PWD|PASS|CREDENTIALS?|CUSTOM_HEADERS)$"
)
#: A switch, nothing, or the path of a file: under whatever name, these are no secrets.
_HARMLESS = r"(?:true|false|yes|no|on|off|none|null)?|(?:~|\.{1,2})?/[\w./@-]*"
#: A user of a repository's or package index's URL may be a token; a database's user alone is only a name.
_LOGIN = r"://[^/?#\s:@]*:(?!\d+/)[^?#\s]+@|\bhttps?://[^/?#\s@]+@|[?&](?:password|token|sig|secret|key)=[^&\s]"


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a variable must be given as a secret: by its name, or as a URL with a login in it."""
    return is_secret_by_name(name, value) or re.search(_LOGIN, value) is not None


def is_secret_by_name(name: str, value: str) -> bool:
    """Whether a variable's name says that it holds a secret, and its value may be one."""
    return bool(re.search(_SECRET_NAME, name, re.IGNORECASE)) and not re.fullmatch(_HARMLESS, value, re.IGNORECASE)


def concealed(text: str) -> str:
    """A text of settings in any form (``NAME=``, ``name: ``, ``"name": ``), line for line, without what follows the
    name of a secret, and without logins in URLs."""
    name = re.compile(r"(\w+)[\"']?[ \t]*[=:][ \t]*(?=\S)")
    login = re.compile(r"(://)(?:[^/\s]+|[^/\s@:]+:(?!\d+/)\S+)@")
    return "\n".join(_concealed(line, name, login) for line in text.split("\n"))


def _concealed(line: str, name: re.Pattern[str], login: re.Pattern[str]) -> str:
    for found in name.finditer(line):
        if is_secret_by_name(found[1], line[found.end() :].strip("\"', ")):
            return f"{line[: found.end()]}***"
    return login.sub(r"\1***@", line)
