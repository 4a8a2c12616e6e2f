"""The certificate of a server's https address, as its own host sees it."""

from __future__ import annotations

import ssl
from typing import Callable, Optional

from roles.doctor.kinds.findings import Finding, fail
from roles.doctor.kinds.network import certificate
from roles.doctor.kinds.server.subject import ServerSubject
from roles.doctor.kinds.tls import judged
from roles.prefect.kinds.endpoint import Endpoint

HERE = "127.0.0.1"


def check(proxied: bool, roots: str) -> Callable[[ServerSubject], Optional[Finding]]:
    """The certificate is valid for some time. ``proxied``: a Caddy of this host has it; ``roots``: as in ServerStatus.

    An address that this host cannot reach is judged from clients (`fab doctor`), not from here.
    """

    def run(subject: ServerSubject) -> Optional[Finding]:
        url = str(subject.kind.health.get("public_api_url", ""))
        if not url.startswith("https:"):
            return None
        try:
            found = certificate(Endpoint.of(url), "", roots, HERE if proxied else "")
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or str(error)
            return fail(f"the certificate of {url} is refused: {why}", "", f"`fab -H {subject.kind.server} doctor`")
        except OSError:
            return None
        return judged(found, subject.kind.server)

    return run
