"""Texts of an Ansible Vault as the inventory holds them: still locked, or opened. ``cipher`` decrypts them."""

from __future__ import annotations

MARK = "$ANSIBLE_VAULT;"
TAGS = ("!vault", "!vault-encrypted")
#: Where the password is: encamp's own name, then the one that Ansible reads.
PASSWORD_FILE = ("ENCAMP_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_PASSWORD_FILE")
HOW = f"name the password's file in {PASSWORD_FILE[0]} (or {PASSWORD_FILE[1]})"


#: What to do about a text that no password opens.
AGAIN = "restore what `ansible-vault` or `fab secrets encrypt` wrote, or encrypt the value again"


class Decrypted(str):
    """A text that came out of a vault: wherever a secret is wanted it is one, and it is never shown."""

    def __repr__(self) -> str:
        return "***"


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
