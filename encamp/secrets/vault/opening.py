"""Opening an encrypted text with the passwords that the environment names."""

from __future__ import annotations


def decrypt(text: str) -> str:
    """The text inside, with the passwords that the environment names. Raises VaultError."""
    # Imported here: most sites have no vault, and what opens one takes long to import.
    from encamp.secrets.vault import cipher, passwords

    return cipher.decrypt(text, passwords.identities())
