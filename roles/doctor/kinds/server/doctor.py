"""The doctor of a server, on its own host."""

from __future__ import annotations

from encamp.resources.base import kind
from encamp.resources.system import Reader
from roles.doctor.kinds.doctor import Doctor, Found, begin
from roles.doctor.kinds.findings import examine
from roles.doctor.kinds.server.checks import LOOKS
from roles.doctor.kinds.server.fields import ServerFields
from roles.doctor.kinds.server.subject import ServerPatient


@kind
class ServerDoctor(Doctor, ServerFields):
    """Reports whether a Prefect server is healthy, from its unit to its disk, and why not. Changes nothing.

    Its fields are those of ServerFields.
    """

    @property
    def patient(self) -> str:
        return f"server {self.name}"

    def examine(self, host: Reader) -> Found:
        patient = ServerPatient(host, self)
        state = patient.state
        address = self.health.get("public_api_url") or self.health["url"]
        verdict = f"serves {address}" if state.active else f"does not serve {address}: {self.unit} is {state}"
        begin(host, self.patient, verdict)
        return examine(host, patient, self.patient, LOOKS, lambda patient, name, finding: None)
