"""A certificate authority for one site, and the server certificates that it signs.

Everything is worked out anew at each run from one secret: keys are derived from it, signatures are deterministic
(RFC 6979), and dates are whole periods. So two runs give the same bytes with nothing else kept, another machine needs
just that secret to go on, and a plan knows the authority's certificate without asking any host.

The authority may sign for the site's own names and nothing else (RFC 5280 name constraints): laptops trust it, and a
lost key must not be able to stand in for their bank.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from encamp.shared.record import record
from encamp.shared.secret import Secret

#: Order of the group of P-256 (FIPS 186-5): a private key is a number from 1 to this, exclusive.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AUTHORITY_FROM = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
AUTHORITY_DAYS = 30 * 365
#: Server certificates change at the first deploy of each period, and are good for so long that a site may leave out
#: a few. Apple's systems take no certificate that is valid for more than 825 days, browsers prefer 398.
PERIOD_DAYS = 90
VALID_DAYS = 397
#: A clock that runs behind must not find a new certificate in its future.
SKEW = datetime.timedelta(days=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@record
class Leaf:
    """A server's certificate as PEM text, led by a line that names its authority; and its private key."""

    certificate: str
    key: Secret


class Authority:
    """The authority that comes from ``seed``, a secret of at least 128 bits, for ``names`` (DNS names, addresses)."""

    def __init__(self, seed: Secret, names: Iterable[str]) -> None:
        self._seed, self._names = seed, sorted(set(names))
        self._key = _private_key(seed, "authority")
        self._subject = _name(f"encamp CA {self.id}")

    @property
    def id(self) -> str:
        """Identifies an authority: the beginning of the hash of its public key."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()[:16]

    @property
    def certificate(self) -> str:
        """The authority's own certificate as PEM text: what clients are given."""
        return _pem(
            _builder(self._subject, self._subject, self._key)
            .not_valid_before(AUTHORITY_FROM)
            .not_valid_after(AUTHORITY_FROM + datetime.timedelta(days=AUTHORITY_DAYS))
            .serial_number(_serial("authority", self.id, *self._names))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(_constraints(self._names), critical=True)
            .sign(self._key, hashes.SHA256(), ecdsa_deterministic=True)
        )

    def leaf(self, name: str, now: datetime.datetime) -> Leaf:
        """The certificate for a server called ``name`` in the period of ``now``, and its key."""
        begin = period(now)
        key = _private_key(self._seed, f"server {name} {begin:%Y-%m-%d}")
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = (
            _builder(_name("Prefect server"), self._subject, key)
            .not_valid_before(begin - SKEW)
            .not_valid_after(begin - SKEW + datetime.timedelta(days=VALID_DAYS))
            .serial_number(_serial("server", self.id, name, f"{begin:%Y-%m-%d}"))
            .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256(), ecdsa_deterministic=True)
        )
        return Leaf(f"{mark(self.id)}\n{_pem(made)}", Secret(_key_pem(key)))


def mark(authority: str) -> str:
    """The first line of a certificate file: which authority it comes from. PEM readers skip it."""
    return f"# certificate authority: encamp {authority}"


def period(now: datetime.datetime) -> datetime.datetime:
    """The beginning of the period that ``now`` is in."""
    return EPOCH + datetime.timedelta(days=(now - EPOCH).days // PERIOD_DAYS * PERIOD_DAYS)


def _private_key(seed: Secret, purpose: str) -> ec.EllipticCurvePrivateKey:
    """A key of its own for each purpose. 48 bytes leave no bias worth the name when reduced to the group's order."""
    data = HKDF(hashes.SHA256(), 48, salt=None, info=f"encamp {purpose}".encode()).derive(seed.reveal().encode())
    return ec.derive_private_key(int.from_bytes(data, "big") % (ORDER - 1) + 1, ec.SECP256R1())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    public = key.public_key()
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _constraints(names: Iterable[str]) -> x509.NameConstraints:
    """Leave to sign for ``names`` only. A form of name that none of them has is shut out whole."""
    permitted = [_subtree(name) for name in names]
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(one, x509.DNSName) for one in permitted):
        permitted.append(x509.DNSName("encamp.invalid"))
    if not any(isinstance(one, x509.IPAddress) for one in permitted):
        excluded += [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, excluded or None)


def _subtree(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _serial(*words: str) -> int:
    """A number that no other certificate of the authority has: 152 bits of a hash of what makes it differ."""
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:19], "big") | 1


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
