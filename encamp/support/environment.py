"""The environment that programs of others get from encamp."""

from __future__ import annotations

import os

#: Variables that hold a password or passphrase itself.
BECOME_PASSWORD = "ENCAMP_BECOME_PASSWORD"
LOGIN_PASSWORD = "ENCAMP_SSH_PASSWORD"
PASSPHRASE = "ENCAMP_SSH_PASSPHRASE"


def without_passwords() -> dict[str, str]:
    """This process's, without the passwords that are for encamp alone."""
    return {
        name: text for name, text in os.environ.items() if name not in (BECOME_PASSWORD, LOGIN_PASSWORD, PASSPHRASE)
    }
