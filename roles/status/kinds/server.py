"""The state of a server, on its own host."""

from __future__ import annotations

import time
from typing import Sequence

from encamp.resources.base import kind
from encamp.resources.system import Reader
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import Check, examine
from roles.doctor.kinds.server import checks as doctor
from roles.doctor.kinds.server.fields import ServerFields
from roles.doctor.kinds.server.subject import ServerSubject
from roles.status.kinds import certificate, clients, growth, pools, services

#: The doctor's checks that are left to it: they take long, or cannot change unless something is deployed.
LEFT_OUT = ("outside", "settings", "database", "UI settings", "UI page", "indexes")


@kind
class ServerStatus(Doctor, ServerFields):
    """Reports the state of a Prefect server: its services, database, work pools, flow runs, certificate and disks.

    Its fields are those of ServerFields, and: ``proxied``: its https address is a Caddy's on this host. ``roots``:
    authorities, as PEM, that its certificate may be signed by beside the system's. ``clients``: releases that clients
    are declared with, by their names. ``paused``: work pools that are declared so. Changes nothing.
    """

    proxied: bool = False
    roots: str = ""
    clients: tuple[tuple[str, str], ...] = ()
    paused: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return f"server {self.name}"

    def examine(self, host: Reader) -> Found:
        subject = ServerSubject(host, self)
        start_report(host, self.subject, self._verdict(subject))
        return examine(host, subject, self.subject, self._checks(), lambda subject, name, finding: None)

    def _verdict(self, subject: ServerSubject) -> str:
        """Release, address, and since when it is up."""
        state, address = subject.state, self.health.get("public_api_url") or self.health["url"]
        release = f"Prefect {subject.server.version} at {address.removesuffix('/api')}"
        if not state.active:
            return f"{release}: {self.unit} is {state}"
        began = time.time() - (time.monotonic() - state.active_since)
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(began))
        return f"{release}, up {spoken(time.time() - began)} (since {since})"

    def _checks(self) -> Sequence[Check[ServerSubject]]:
        return (
            *(check for check in doctor.CHECKS if check.name not in LEFT_OUT),
            Check("services", services.check(self.proxied)),
            Check("pools", pools.check(self.paused), ("POST",)),
            Check("growth", growth.check, ("connection",)),
            Check("certificate", certificate.check(self.proxied, self.roots)),
            Check("clients", clients.check(self.clients), ("version",)),
        )


def spoken(seconds: float) -> str:
    """A duration in its two largest units: 3 d 4 h."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
