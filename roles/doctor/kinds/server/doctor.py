"""The doctor of a server, on its own host."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import kind
from encamp.resources.system import Reader
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import examine
from roles.doctor.kinds.server.checks import CHECKS
from roles.doctor.kinds.server.fields import ServerFields
from roles.doctor.kinds.server.subject import ServerSubject
from roles.prefect.kinds.endpoint import Endpoint


@kind
class ServerDoctor(Doctor, ServerFields):
    """Reports whether a Prefect server is healthy, from its unit to its disk, and why not. Changes nothing.

    Its fields are those of ServerFields.
    """

    @property
    def doors(self) -> Sequence[tuple[str, int]]:
        url = self.health.get("public_api_url")
        endpoint = Endpoint.of(url) if url else None
        return [(endpoint.host, endpoint.port)] if endpoint else []

    @property
    def subject(self) -> str:
        return f"server {self.name}"

    def examine(self, host: Reader) -> Found:
        subject = ServerSubject(host, self)
        state = subject.state
        address = self.health.get("public_api_url") or self.health["url"]
        verdict = f"serves {address}" if state.active else f"does not serve {address}: {self.unit} is {state}"
        start_report(host, self.subject, verdict)
        return examine(host, subject, self.subject, CHECKS, lambda subject, name, finding: None)
