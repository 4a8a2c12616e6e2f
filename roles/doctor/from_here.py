"""A server as the controller meets it: another host than its own, at the address that clients use.

A deploy looks from the server's own host, where neither a firewall nor a proxy that is not encamp's is in the way.
"""

from __future__ import annotations

import os
import tempfile
from typing import Literal

from encamp.agent.system import Host
from encamp.resources.system import NO_RESPONSE
from encamp.shared.record import record, replace
from encamp.site import Site, SiteHost
from roles.client.role import Api, api_of
from roles.doctor.kinds.api_checks import CHECKS
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import FAIL, Check, Finding, examine
from roles.doctor.kinds.network import is_near
from roles.network import address

#: What shows that requests arrive: the way there, and what answers at its end. The first that fails is reported.
WAY = ("name", "port", "TLS")
ANSWERS = ("path", "auth", "CSRF", "service", "events in", "events out", "UI")
Verdict = Literal["well", "not reached", "wrong", "near"]


@record
class Seen:
    """What the controller saw of an address. ``finding``: the first failure.

    ``not reached`` proves nothing, as it need not be a client; nor does ``near``, the server's own machine.
    ``wrong`` is what every client gets there.
    """

    url: str
    verdict: Verdict
    finding: Finding | None = None


def look(server: SiteHost, site: Site) -> Seen:
    """Use an instance's API, WebSockets and UI from this machine. Raises SettingsError."""
    # Its own host uses it without leaving; what is tried here is the address that the others use.
    api = replace(api_of(server, server, site), url=address.api_url(server))
    with tempfile.TemporaryDirectory(prefix="encamp-") as folder:
        target = ApiTarget(_this_machine(), api.url, auth=api.auth, ca_file=_ca_file(api, folder), server=server.name)
        if is_near(target.endpoint):
            return Seen(api.url, "near")
        by_name = {check.name: check for check in CHECKS}
        checks: list[Check[ApiTarget]] = [by_name[name] for name in (*WAY, *ANSWERS)]
        found = examine(target.host, target, "", checks, lambda target, name, finding: None)
    name, finding = next(((name, finding) for name, finding in found if finding.status == FAIL), ("", None))
    if finding is None:
        return Seen(api.url, "well")
    unknown = name in WAY or NO_RESPONSE in finding.text
    return Seen(api.url, "not reached" if unknown else "wrong", finding)


def _this_machine() -> Host:
    return Host(lambda blob: b"", lambda *words: None)


def _ca_file(api: Api, folder: str) -> str:
    """The authorities of the site in a file; empty where the system's are enough."""
    if not api.ca:
        return ""
    path = os.path.join(folder, "ca.pem")
    with open(path, "w", encoding="utf-8") as file:
        file.write(api.ca)
    return path
