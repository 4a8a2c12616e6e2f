"""Commands of the operator's configuration that make a connection: what a message shows of them."""

from __future__ import annotations

import re

#: Words of a command that may have a password beside them.
_TELLING = r"pass|pwd|secret|token|auth|credential|key=|://[^/\s]*@|(?:^|\s)-u\s|--user"


def shown(command: str) -> str:
    """A command for a message: of one that may hold a password (``sshpass -p ...``) its program alone."""
    text = command.strip()
    if not re.search(_TELLING, text, re.IGNORECASE):
        return text
    words = re.sub(r"^exec\s+", "", text).split()
    program = next((word for word in words if "=" not in word), "")
    return f"{program} ..." if program else "..."
