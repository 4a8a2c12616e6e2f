"""Texts of an Ansible Vault as the inventory holds them: still locked, or opened. ``cipher`` decrypts them."""

from __future__ import annotations

import re
from typing import Any

MARK = "$ANSIBLE_VAULT;"
TAGS = ("!vault", "!vault-encrypted")
#: Where the password is: encamp's own name, then the one that Ansible reads.
PASSWORD_FILE = ("ENCAMP_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_PASSWORD_FILE")
HOW = f"name the password's file in {PASSWORD_FILE[0]} (or {PASSWORD_FILE[1]})"


#: What to do about a text that no password opens.
AGAIN = "restore what `ansible-vault` or `fab secrets encrypt` wrote, or encrypt the value again"


#: Stands for what is or was encrypted.
VEIL = "***"


class Decrypted(str):
    """A text that came out of a vault: wherever a secret is wanted it is one, and it is never shown."""

    def __repr__(self) -> str:
        return VEIL


class Derived(Decrypted):
    """A text that was made with a secret, or that came from the environment. It may stand for a value of any type:
    where a number or a list is expected, it is read as YAML."""


class DecryptedScalar(Derived):
    """A number, a truth value or a date that came out of a vault: a secret like any text there, whose text is what was
    typed. ``value`` is what it is where its type is needed."""

    value: Any

    def __new__(cls, text: str, value: Any) -> DecryptedScalar:
        made = super().__new__(cls, text)
        made.value = value
        return made

    @classmethod
    def of(cls, value: Any) -> Any:
        """``value`` that was never typed: a template made it, or another parser than YAML's read it. Null is nothing
        that could be secret."""
        if value is None or isinstance(value, str):
            return value
        return cls(("false", "true")[value] if isinstance(value, bool) else str(value), value)


class Encrypted(str):
    """An encrypted value as it stands in the inventory, opened when it is first used."""


class VaultError(ValueError):
    """A value that cannot be opened. Neither the text nor ``fix`` holds the value."""

    def __init__(self, message: str, fix: str = HOW) -> None:
        super().__init__(message)
        self.fix = fix


def is_encrypted(text: str) -> bool:
    """Whether a text is a vault's."""
    return text.lstrip().startswith(MARK)


def holds_secret(data: object) -> bool:
    """Whether a value came out of a vault, is still in one, or has something in it that is."""
    if isinstance(data, dict):
        return any(holds_secret(item) for pair in data.items() for item in pair)
    if isinstance(data, (list, tuple, set)):
        return any(map(holds_secret, data))
    return isinstance(data, (Decrypted, Encrypted))


def with_types(data: Any) -> Any:
    """Data with numbers, truth values and dates as what they are: no longer known as secret."""
    if isinstance(data, DecryptedScalar):
        return data.value
    if isinstance(data, dict):
        return {with_types(key): with_types(item) for key, item in data.items()}
    return [with_types(item) for item in data] if isinstance(data, (list, tuple, set)) else data


def shown(data: object) -> str:
    """A value for a message, as YAML writes it; nothing of a secret one."""
    if holds_secret(data):
        return VEIL
    if isinstance(data, bool):
        return "true" if data else "false"
    return "nothing" if data is None else str(data)


def veiled(text: str, data: object) -> str:
    """A text with nothing in it of the secrets that ``data`` holds."""
    for secret in sorted(_texts(data), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", VEIL, text)
    return text


def _texts(data: object) -> set[str]:
    if isinstance(data, dict):
        return {text for item in data.values() for text in _texts(item)}
    if isinstance(data, (list, tuple, set)):
        return {text for item in data for text in _texts(item)}
    return {str(data)} if isinstance(data, Decrypted) and data else set()
