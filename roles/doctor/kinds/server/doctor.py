"""The doctor of a server, on its own host."""

from __future__ import annotations

from typing import Any, Mapping

from encamp.resources.base import kind
from encamp.resources.system import Reader
from encamp.shared.record import factory
from roles.doctor.kinds.doctor import Doctor, Found, begin
from roles.doctor.kinds.findings import examine
from roles.doctor.kinds.server.checks import LOOKS
from roles.doctor.kinds.server.subject import ServerPatient


@kind
class ServerDoctor(Doctor):
    """Tells whether a Prefect server is well, from its unit to its disk, and why not. Changes nothing.

    ``name`` is the server's instance, ``unit`` its systemd unit, ``health`` the fields of the ServerHealth that a
    deploy proves, ``env_file`` the settings it reads, ``link`` its environment, ``user`` and ``home`` whose it is.
    ``server`` is the host's name for texts, ``started`` the controller's clock (seconds since the epoch). With ``fix``
    a stopped or failed unit is started, and one that runs with outdated settings restarted.
    """

    name: str
    unit: str
    health: Mapping[str, Any] = factory(dict)
    env_file: str = ""
    link: str = ""
    user: str = ""
    home: str = ""
    server: str = "SERVER"
    started: float = 0
    fix: bool = False

    @property
    def container(self) -> str:
        """The server's container; empty where it runs on the host itself."""
        return str(self.health.get("container", ""))

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
