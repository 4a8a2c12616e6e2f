"""Certificates in PEM text."""

from __future__ import annotations

import base64

from encamp.resources.base import Failure

BEGIN = "-----BEGIN CERTIFICATE-----"


def bodies(text: str) -> list[str]:
    """The certificates of a PEM text as bare base64, in order, each once: quick to compare, nothing is decoded."""
    blocks = (block.partition("-----END ")[0] for block in text.split(BEGIN)[1:])
    return list(dict.fromkeys("".join(block.split()) for block in blocks))


def validate(text: str, name: str) -> int:
    """Prove that a CA bundle can be used, before it is sent anywhere. Returns how many certificates it holds.

    ``name`` is for messages. Raises Failure when there is none, when one is damaged, or when a private key stands
    among them.
    """
    import ssl

    if "PRIVATE KEY-----" in text:
        raise Failure(
            f"{name} holds a private key",
            "a CA bundle is readable by every user",
            "give only the certificates, and consider that key known to whoever could read the file",
        )
    if text.count("-----BEGIN ") != text.count("-----END "):
        raise Failure(f"{name} is cut off: a certificate begins and does not end", fix="copy the file again")
    found = bodies(text)
    if not found:
        raise Failure(
            f"{name} holds no certificate",
            "it is empty or in another format",
            "give PEM text (-----BEGIN CERTIFICATE-----); from DER: openssl x509 -inform der -in FILE",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, body in enumerate(found, 1):
        try:
            context.load_verify_locations(cadata=base64.b64decode(body, validate=True))
        except (ValueError, ssl.SSLError) as error:
            raise Failure(f"{name}: certificate {number} is damaged", str(error), "export it again") from None
    return len(found)


def fingerprint(body: str) -> str:
    """sha256 of a certificate given as bare base64."""
    import hashlib

    return hashlib.sha256(base64.b64decode(body)).hexdigest()


def to_pem(body: str) -> str:
    """One certificate as PEM text, from bare base64."""
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([BEGIN, *lines, "-----END CERTIFICATE-----", ""])
