"""Host certificates: whether one was signed by an authority that known_hosts trusts for the host, and holds for it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from encamp.errors import HostKeyRejected
from encamp.ssh import config_files
from encamp.ssh.config import Hop
from encamp.ssh.known_hosts import Entry, PublicKey


def signed_by(shown: PublicKey, hop: Hop, authorities: Sequence[Entry]) -> PublicKey | None:
    """The trusted authority's key; None where another one signed: then the key inside counts for itself.

    Raises HostKeyRejected for a certificate of a trusted authority that does not hold for this host and now.
    """
    certificate = serialization.load_ssh_public_identity(f"{shown.type} {shown.text}".encode())
    if not isinstance(certificate, serialization.SSHCertificate):
        return None
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    signer = PublicKey(*certificate.signature_key().public_bytes(*form).decode().split()[:2])
    if signer not in [entry.key for entry in authorities]:
        return None
    problem = _problem(certificate, hop)
    if problem:
        raise HostKeyRejected(
            f"the host certificate of {hop.recorded} (authority {signer.fingerprint}) {problem}",
            "have the authority sign the host key again (ssh-keygen -s CA -h -n NAME -V +52w KEY.pub)",
        )
    return signer


def _problem(certificate: serialization.SSHCertificate, hop: Hop) -> str:
    """What is wrong with a certificate, empty if nothing: the checks of OpenSSH's sshkey_cert_check_host()."""
    name = hop.first("hostkeyalias", hop.host.lower())
    names = [principal.decode("utf-8", "replace") for principal in certificate.valid_principals]
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        return "is not signed by it"
    if certificate.type is not serialization.SSHCertificateType.HOST:
        return "is a user certificate"
    if certificate.critical_options:
        return "has unknown critical options"
    if not certificate.valid_after <= time.time() < certificate.valid_before:
        return f"is not valid now, but from {_date(certificate.valid_after)} to {_date(certificate.valid_before)}"
    if names and not any(config_files.matches(pattern, name) for pattern in names):
        return f"is for {', '.join(names)}"
    return ""


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(min(seconds, 32503680000)))
