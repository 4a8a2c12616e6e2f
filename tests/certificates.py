"""A certificate authority for tests, as a company has one."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
MONTH = datetime.timedelta(days=30)


class Issuer:
    """An authority with a key of its own; ``pem`` is its certificate."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        made = _builder(self._name, self._name, self._key, MONTH)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()

    def leaf(self, name: str, valid: datetime.timedelta = MONTH) -> tuple[str, str]:
        """Certificate and key of a server, by name or address, as PEM text. It ends ``valid`` from now, which may be in
        the past."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_alternative(name)])
        made = _builder(_name(name), self._name, key, valid).add_extension(names, critical=False)
        pem = made.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()
        plain = serialization.NoEncryption()
        return pem, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(now - 2 * MONTH).not_valid_after(now + valid)
