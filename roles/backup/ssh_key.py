"""SSH keys that are derived from a secret, so that two runs give the same bytes with nothing else kept."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from encamp.shared.secret import Secret

#: Order of the group of P-256 (FIPS 186-5): a private key is a number from 1 to this, exclusive.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def private(seed: Secret) -> Secret:
    """The private key, PEM. Not OpenSSH's own format: that holds random bytes."""
    plain = serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return Secret(_key(seed).private_bytes(encoding, form, plain).decode())


def public(seed: Secret) -> str:
    """The public key, as authorized_keys has it."""
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return _key(seed).public_key().public_bytes(encoding, form).decode()


def _key(seed: Secret) -> ec.EllipticCurvePrivateKey:
    """48 bytes leave no bias worth the name when reduced to the group's order."""
    data = HKDF(hashes.SHA256(), 48, salt=None, info=b"encamp backup key").derive(seed.reveal().encode())
    return ec.derive_private_key(int.from_bytes(data, "big") % (ORDER - 1) + 1, ec.SECP256R1())
