"""``fab secrets encrypt``: a value for the inventory, encrypted as ``ansible-vault encrypt_string`` does."""

from __future__ import annotations

import getpass
import sys

from encamp.errors import UsageError
from encamp.output.terminal import print_result
from encamp.secrets.vault import cipher, passwords
from encamp.secrets.vault.values import VaultError

INDENT = " " * 10


def encrypt(name: str = "", vault_id: str = "") -> int:
    """Print the value that standard input holds, or that is asked for, as a ``!vault`` block. Raises UsageError.

    One line end behind the value is cut off, as it is of every other source.
    """
    value = _value()
    try:
        identity = passwords.to_encrypt_with(vault_id, passwords.identities())
        text = cipher.encrypt(value, identity)
    except VaultError as error:
        raise UsageError(f"the value {error}", error.fix) from None
    first = f"{name}: !vault |" if name else "!vault |"
    print_result("\n".join([first, *(f"{INDENT}{line}" for line in text.splitlines())]))
    return 0


def _value() -> str:
    """The value. Raises UsageError for none, and for one that no setting could hold."""
    value = _asked() if sys.stdin.isatty() else _piped()
    if not value:
        raise UsageError("there is no value on standard input", "for example: pass show token | fab secrets encrypt")
    if "\0" in value:
        raise UsageError("the value contains a NUL byte, which no setting may contain", "encrypt a text")
    return value


def _piped() -> str:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the value is not UTF-8 text", "encrypt a text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _asked() -> str:
    value = getpass.getpass("Value (not shown): ")
    if getpass.getpass("Repeat: ") != value:
        raise UsageError("the two values differ", "run it again")
    return value
