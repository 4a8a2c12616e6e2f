"""Ansible Vault: values and files encrypted as the ``ansible-vault`` tool does, read and written.

The format is documented in Ansible's user guide ("Format of files encrypted with Ansible Vault"): a header line
``$ANSIBLE_VAULT;1.1;AES256`` (1.2 adds a vault id), then hexadecimal text of the hexadecimal salt, HMAC-SHA256 and
AES-256-CTR ciphertext, a line each. Keys come from PBKDF2-HMAC-SHA256 with 10000 rounds over a salt of 32 bytes.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from encamp.secrets.vault.values import AGAIN, MARK, VaultError
from encamp.shared.record import record
from encamp.shared.secret import Secret

ROUNDS, KEY_BYTES, IV_BYTES, SALT_BYTES, WIDTH = 10_000, 32, 16, 32, 80
BLOCK = 16


@record
class Identity:
    """A vault password. ``name`` is its vault id; empty: it has none."""

    name: str
    password: Secret


def decrypt(text: str, identities: Sequence[Identity]) -> str:
    """The text inside. The identity that the header names is tried first, then the others. Raises VaultError."""
    name, body = _parsed(text)
    if not identities:
        raise VaultError("is encrypted with Ansible Vault, and no vault password is known")
    for identity in sorted(identities, key=lambda one: one.name != name):
        plain = _opened(body, identity.password)
        if plain is not None:
            try:
                return plain.decode("utf-8")
            except UnicodeDecodeError:
                raise VaultError("contains bytes that are not UTF-8 text", AGAIN) from None
    raise VaultError("is encrypted with another vault password" + (f" (vault id {name})" if name else ""))


def encrypt(plain: str, identity: Identity) -> str:
    """``plain`` as ``ansible-vault encrypt`` writes it, with a line end behind it."""
    salt = secrets.token_bytes(SALT_BYTES)
    cipher_key, mac_key, iv = _keys(salt, identity.password)
    data = plain.encode("utf-8")
    fill = BLOCK - len(data) % BLOCK
    sealed = _aes(cipher_key, iv).encryptor().update(data + bytes([fill]) * fill)
    tag = hmac.new(mac_key, sealed, hashlib.sha256).hexdigest()
    inner = "\n".join([salt.hex(), tag, sealed.hex()])
    outer = inner.encode().hex()
    header = f"{MARK}1.2;AES256;{identity.name}" if identity.name else f"{MARK}1.1;AES256"
    return "\n".join([header, *(outer[at : at + WIDTH] for at in range(0, len(outer), WIDTH)), ""])


def _parsed(text: str) -> tuple[str, bytes]:
    """Vault id and body. Raises VaultError for an unknown format."""
    header, *lines = text.strip().splitlines() or [""]
    fields = [field.strip() for field in header.split(";")]
    if len(fields) < 3 or fields[0] + ";" != MARK:
        raise VaultError("is not an Ansible Vault text", AGAIN)
    if fields[1] not in ("1.1", "1.2") or fields[2] != "AES256":
        raise VaultError(
            f"has the vault format {fields[1]} {fields[2]}; only AES256 of 1.1 and 1.2 is supported", AGAIN
        )
    try:
        body = binascii.unhexlify("".join(line.strip() for line in lines))
    except ValueError:
        raise VaultError("is a damaged vault text: it is not hexadecimal", AGAIN) from None
    return (fields[3] if len(fields) > 3 else ""), body


def _opened(body: bytes, password: Secret) -> bytes | None:
    """What is inside; None where this is not the password. Raises VaultError for a damaged body."""
    try:
        salt, tag, sealed = (binascii.unhexlify(part) for part in body.split(b"\n", 2))
    except ValueError:
        raise VaultError("is a damaged vault text: parts are missing", AGAIN) from None
    cipher_key, mac_key, iv = _keys(salt, password)
    if not hmac.compare_digest(hmac.new(mac_key, sealed, hashlib.sha256).digest(), tag):
        return None
    plain = _aes(cipher_key, iv).decryptor().update(sealed)
    return bytes(plain[: -plain[-1]]) if plain else b""


def _keys(salt: bytes, password: Secret) -> tuple[bytes, bytes, bytes]:
    length = 2 * KEY_BYTES + IV_BYTES
    made = hashlib.pbkdf2_hmac("sha256", password.reveal().encode("utf-8"), salt, ROUNDS, length)
    return made[:KEY_BYTES], made[KEY_BYTES : 2 * KEY_BYTES], made[2 * KEY_BYTES :]


def _aes(key: bytes, iv: bytes) -> Any:
    return Cipher(algorithms.AES(key), modes.CTR(iv))
