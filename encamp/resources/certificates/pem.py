"""Certificates in PEM text."""

from __future__ import annotations

import base64

from encamp.resources.base import Failure

BEGIN = "-----BEGIN CERTIFICATE-----"


def bodies(text: str) -> list[str]:
    """The certificates of a PEM text as bare base64, in order, without duplicates. Nothing is decoded."""
    blocks = (block.partition("-----END ")[0] for block in text.split(BEGIN)[1:])
    return list(dict.fromkeys("".join(block.split()) for block in blocks))


def validate(text: str, name: str) -> int:
    """Verify a CA bundle before it is sent to a host. Returns the number of its certificates.

    ``name`` is for messages. Raises Failure when there is none, when one is damaged, or when it contains a private
    key.
    """
    import ssl

    if "PRIVATE KEY-----" in text:
        raise Failure(
            f"{name} contains a private key",
            "a CA bundle is readable by every user",
            "keep only the certificates in the file, and replace that key: others may have read it",
        )
    if text.count("-----BEGIN ") != text.count("-----END "):
        raise Failure(f"{name} is truncated: a certificate has no END line", fix="copy the file again")
    certificates = bodies(text)
    if not certificates:
        raise Failure(
            f"{name} contains no certificate",
            "it is in another format" if text.strip() else "it is empty",
            "use PEM text (-----BEGIN CERTIFICATE-----); from DER: openssl x509 -inform der -in FILE",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, body in enumerate(certificates, 1):
        try:
            context.load_verify_locations(cadata=base64.b64decode(body, validate=True))
        except (ValueError, ssl.SSLError) as error:
            raise Failure(f"{name}: certificate {number} is damaged", str(error), "export it again") from None
    return len(certificates)


def fingerprint(body: str) -> str:
    """sha256 of a certificate given as bare base64."""
    import hashlib

    return hashlib.sha256(base64.b64decode(body)).hexdigest()


def to_pem(body: str) -> str:
    """One certificate as PEM text, from bare base64."""
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([BEGIN, *lines, "-----END CERTIFICATE-----", ""])
