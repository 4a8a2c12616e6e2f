"""The check of a server's certificate, with the authorities that the Prefect client itself uses."""

from __future__ import annotations

import re
import ssl
from typing import Optional

from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import SKIPPED, Finding, fail, ok, warn
from roles.doctor.kinds.network import Certificate, certificate
from roles.prefect.kinds.call_errors import CERTIFICATE_ERRORS, explain_network

#: Days before the end, or the last part of its time where that is less: Caddy renews in the last third.
EXPIRES_SOON, LAST_PART = 30, 1 / 4
#: What the authority of `tls: internal` is called (roles.network.certificate_authority). Only a deploy renews its
#: certificates.
INTERNAL = "encamp CA "
UNTRUSTED = r"self[- ]signed|unable to get (?:local )?issuer|CERTIFICATE_VERIFY_FAILED"


def check_tls(target: ApiTarget) -> Optional[Finding]:
    """The certificate is valid, for this name, and signed by an authority that the client trusts."""
    if target.endpoint.scheme != "https":
        return None
    try:
        found = certificate(target.endpoint, target.ca_file)
    except OSError as error:
        if target.insecure:
            unchecked = "not checked by this client (PREFECT_API_TLS_INSECURE_SKIP_VERIFY)"
            return Finding(SKIPPED, f"{unchecked}; it would fail: {_short(str(error))}")
        return _refused(target, str(error))
    return judged(found, target.server)


def judged(found: Certificate, server: str) -> Finding:
    """A certificate that was accepted, by the days that are left. ``server``: the name of its host."""
    text = f"certificate by {found.issuer}, valid for {found.days:.0f} days"
    if found.days >= min(EXPIRES_SOON, found.lasts * LAST_PART):
        return ok(text)
    if found.issuer.startswith(INTERNAL):
        return warn(text, "it expires soon; a deploy renews it", f"`fab -H {server} deploy`")
    return warn(text, "it expires soon and was not renewed", "check why it is not renewed")


def _refused(target: ApiTarget, error: str) -> Finding:
    for pattern, cause, fix in CERTIFICATE_ERRORS:
        if re.search(pattern, error):
            return fail(_short(error), cause, fix)
    if re.search(UNTRUSTED, error):
        return _untrusted(target, error)
    cause, fix = explain_network(error)
    return fail(_short(error), cause or "the TLS handshake fails", fix)


def _untrusted(target: ApiTarget, error: str) -> Finding:
    """Trusted by the system and not by the client is a target of its own: Prefect brings its own list."""
    cause = "the certificate is signed by an authority that this client does not know"
    system = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
    if target.ca_file and target.ca_file != system:
        try:
            certificate(target.endpoint, "")
        except OSError:
            pass  # not trusted by the system either
        else:
            cause = (
                f"this machine trusts the certificate, but Prefect uses another list of authorities: {target.ca_file}"
            )
            return fail(_short(error), cause, f"set PREFECT_API_SSL_CERT_FILE={system} in the profile")
    fix = "set ca_bundle: to the authority that signed it, then run `fab configure-client`; or set "
    return fail(_short(error), cause, fix + "PREFECT_API_SSL_CERT_FILE to its file")


def _short(error: str) -> str:
    """An SSL error without the place in OpenSSL's source."""
    return re.sub(r"\s*\(_ssl\.c:\d+\)", "", error)
