"""Certificates and keys that an operator brings: what can be wrong with them is found before a host is touched."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from encamp.shared.secret import Secret

#: A certificate that expires sooner is refused: it would expire before anyone notices.
LEAST = datetime.timedelta(days=1)


class InvalidCertificate(Exception):
    """A certificate or key that cannot be used. The text is what is wrong, ``fix`` what to do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


def check(certificate: str, key: Secret, name: str, now: datetime.datetime) -> None:
    """Prove that a chain (the server's certificate first) and a key can serve ``name``. Raises InvalidCertificate."""
    chain = _chain(certificate)
    _check_key(chain[0], key)
    _check_names(chain[0], name)
    _check_order(chain)
    for one in chain:
        _check_dates(one, now)


def _chain(text: str) -> list[x509.Certificate]:
    if "PRIVATE KEY-----" in text:
        raise InvalidCertificate(
            "the certificate file also contains a private key", "put the key only into the file of tls_key"
        )
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        fix = "use PEM: the server's certificate, then the intermediate ones (often named fullchain.pem)"
        raise InvalidCertificate("it contains no readable certificate", fix) from None


def _check_key(leaf: x509.Certificate, key: Secret) -> None:
    try:
        private = serialization.load_pem_private_key(key.reveal().encode(), password=None)
    except TypeError:
        fix = "Caddy needs a plain key: decrypt it with `openssl pkey -in KEY -out PLAIN` (mode 0600) and use that"
        raise InvalidCertificate("the key is encrypted with a passphrase", fix) from None
    except Exception:  # whatever cryptography raises: no part of a key may reach a message
        raise InvalidCertificate(
            "the key cannot be read", "use a private key in PEM format (-----BEGIN PRIVATE KEY-----)"
        ) from None
    der, spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(der, spki) != leaf.public_key().public_bytes(der, spki):
        fix = "the server's certificate must come first in its file, and the key must belong to it"
        raise InvalidCertificate("certificate and key do not match", fix)


def _check_names(leaf: x509.Certificate, name: str) -> None:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise InvalidCertificate(
            "the certificate has no subjectAltName: Python and browsers refuse it",
            f"request one with the name {name}",
        ) from None
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    if not (_is_in(name, addresses) if _is_address(name) else any(covers(host, name) for host in hosts)):
        listed = ", ".join([*hosts, *addresses])
        raise InvalidCertificate(
            f"the certificate is for {listed}, not for {name}",
            "set public_url to a name that it covers, or request one for that name",
        )


def covers(pattern: str, name: str) -> bool:
    """Whether a DNS name of a certificate, perhaps ``*.example.com``, covers ``name`` (RFC 6125: one label)."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == name
    first, _, rest = name.partition(".")
    return bool(first) and rest == pattern[2:]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_in(name: str, addresses: Sequence[str]) -> bool:
    return str(ipaddress.ip_address(name)) in addresses


def _check_order(chain: Sequence[x509.Certificate]) -> None:
    """Each certificate is signed by the one after it: many clients do not put a chain right by themselves."""
    for place, (certificate, issuer) in enumerate(zip(chain, chain[1:]), 1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except Exception:  # ValueError, TypeError, InvalidSignature: each means that it is not
            raise InvalidCertificate(
                f"certificate {place + 1} in the file did not sign certificate {place}",
                "put the server's certificate first, then the one that signed it, and so on, and no others",
            ) from None


def _check_dates(certificate: x509.Certificate, now: datetime.datetime) -> None:
    name = certificate.subject.rfc4514_string()
    if certificate.not_valid_after_utc < now + LEAST:
        end = "ended" if certificate.not_valid_after_utc < now else "ends"
        raise InvalidCertificate(
            f"certificate {name} {end} at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", "renew it"
        )
    if certificate.not_valid_before_utc > now:
        raise InvalidCertificate(
            f"certificate {name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "wait, or correct this machine's clock",
        )
