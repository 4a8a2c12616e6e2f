"""Programs that the operator's configuration runs for a connection: what they get, and what a message shows of them."""

from __future__ import annotations

import os
import re

#: encamp's own variables: passwords are among them.
KEPT_BACK = "ENCAMP_"
#: Words of a command that may have a password beside them.
_TELLING = r"pass|pwd|secret|token|auth|credential|key=|://[^/\s]*@|(?:^|\s)-u\s|--user"


def environment() -> dict[str, str]:
    """The environment for a program that is not encamp's, without what is for encamp alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(KEPT_BACK)}


def shown(command: str) -> str:
    """A command for a message: of one that may hold a password (``sshpass -p ...``) its program alone."""
    text = command.strip()
    if not re.search(_TELLING, text, re.IGNORECASE):
        return text
    words = re.sub(r"^exec\s+", "", text).split()
    program = next((word for word in words if "=" not in word), "")
    return f"{program} ..." if program else "..."
