"""Certificates in PEM text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from encamp.resources.base import Failure

BLOCK = re.compile(r"-----BEGIN (?:X509 )?CERTIFICATE-----(.*?)-----END (?:X509 )?CERTIFICATE-----", re.S)


def certificates(text: str, name: str) -> list[bytes]:
    """The certificates of a PEM text in DER form, in order, each once. ``name`` is for messages.

    Raises Failure when there is none, when one is damaged, or when a private key stands among them.
    """
    if "PRIVATE KEY-----" in text:
        raise Failure(
            f"{name} holds a private key",
            "a CA bundle is readable by every user",
            "give only the certificates, and consider that key known to whoever could read the file",
        )
    if text.count("-----BEGIN ") != text.count("-----END "):
        raise Failure(f"{name} is cut off: a certificate begins and does not end", fix="copy the file again")
    found = [_decoded(body, number, name) for number, body in enumerate(BLOCK.findall(text), 1)]
    if not found:
        raise Failure(
            f"{name} holds no certificate",
            "it is empty or in another format",
            "give PEM text (-----BEGIN CERTIFICATE-----); from DER: openssl x509 -inform der -in FILE",
        )
    return list(dict.fromkeys(found))


def validate(text: str, name: str) -> int:
    """Prove that a CA bundle can be used, before it is sent anywhere. Returns how many certificates it holds.

    Raises Failure, as :func:`certificates` does, and for what OpenSSL cannot read as certificates.
    """
    import ssl

    found = certificates(text, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, certificate in enumerate(found, 1):
        try:
            context.load_verify_locations(cadata=certificate)
        except ssl.SSLError as error:
            raise Failure(f"{name}: certificate {number} is damaged", str(error), "export it again") from None
    return len(found)


def decode_quietly(text: str) -> set[bytes]:
    """The certificates of a system's own bundle; damaged ones are left out."""
    found = set()
    for body in BLOCK.findall(text):
        try:
            found.add(_raw(body))
        except ValueError:
            continue
    return found


def fingerprint(certificate: bytes) -> str:
    """sha256 of a certificate, as people compare it."""
    return hashlib.sha256(certificate).hexdigest()


def to_pem(certificate: bytes) -> str:
    """One certificate as PEM text."""
    import ssl

    return ssl.DER_cert_to_PEM_cert(certificate)


def _decoded(body: str, number: int, name: str) -> bytes:
    try:
        return _raw(body)
    except ValueError:
        raise Failure(f"{name}: certificate {number} is damaged: not base64", fix="copy the file again") from None


def _raw(body: str) -> bytes:
    """Raises ValueError (binascii.Error) for what is not base64, and for nothing at all."""
    decoded = base64.b64decode("".join(body.split()), validate=True)
    if not decoded.startswith(b"\x30"):  # a DER sequence
        raise binascii.Error("not DER")
    return decoded
