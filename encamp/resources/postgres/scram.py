"""SCRAM-SHA-256 verifiers: what Postgres stores instead of a password (RFC 5803, RFC 7677).

They are computed here, so that the server never gets the password and cannot log it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import stringprep
import unicodedata

SALT_BYTES = 16
ITERATIONS = 4096  # the server's default; from version 16 on it is the setting scram_iterations

_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """What Postgres stores for ``password``. ``salt`` should be :data:`SALT_BYTES` random bytes."""
    salted = hashlib.pbkdf2_hmac("sha256", normalized(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def matches(stored: str, password: str) -> bool:
    """Whether ``stored`` is a SCRAM verifier of ``password``. False for md5 hashes, which must be replaced."""
    parts = _VERIFIER.fullmatch(stored)
    if parts is None:
        return False
    again = verifier(password, base64.b64decode(parts[2]), int(parts[1]))
    return hmac.compare_digest(again, stored)


def normalized(password: str) -> str:
    """SASLprep (RFC 4013), as in clients and server: a password that it does not allow is used unchanged."""
    if password.isascii():
        return password
    spaced = "".join(" " if stringprep.in_table_c12(char) else char for char in password)
    mapped = "".join(char for char in spaced if not stringprep.in_table_b1(char))
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(test(char) for char in prepared for test in _PROHIBITED) or not _direction_fits(prepared):
        return password
    return prepared


def _direction_fits(text: str) -> bool:
    """The rule of RFC 3454 section 6 for text with right-to-left characters."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    return (
        not any(map(stringprep.in_table_d2, text))
        and stringprep.in_table_d1(text[0])
        and stringprep.in_table_d1(text[-1])
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
