"""Rules of the host's owner that keep clients from the server, though its port is open."""

from __future__ import annotations

from typing import Optional

from roles.doctor.kinds.findings import Finding, warn
from roles.doctor.kinds.server.subject import ServerSubject


def check_denials(subject: ServerSubject) -> Optional[Finding]:
    """No rule that the firewall takes before encamp's denies a client. Clients may be denied on purpose."""
    if not subject.host.is_root:
        return None
    found = [denial for opening in subject.kind.openings for denial in opening.denials(subject.host)]
    if not found:
        return None
    text = "; ".join(found)
    return warn(text, "the host's owner wrote that rule", "no mistake if it is meant; else remove it from the firewall")
