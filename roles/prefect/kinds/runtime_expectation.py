"""An instance that runs in the way that is declared, or not at all yet."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System

DIRECTORY = "/etc/systemd/system"
#: Stands in the unit of a stack; systemd ignores what begins with X-.
MARK = "X-Encamp-Runtime=compose"


@kind
class RuntimeExpectation(Resource):
    """An instance's server that is not deployed yet, or in the same way as now. Never changes anything.

    ``unit``: the server's unit. ``runtime``: systemd or compose. Each has a database of its own: after a switch the
    server would start without the existing flow runs.
    """

    changes_host: ClassVar[bool] = False

    unit: str
    runtime: str = "systemd"

    def check(self, host: Reader) -> list[Change]:
        text = host.read(f"{DIRECTORY}/{self.unit}")
        if text is None:
            return []
        found = "compose" if MARK.encode() in text else "systemd"
        if found != self.runtime:
            raise Refused(
                f"{self.unit} already runs on this host with runtime: {found}, not {self.runtime}",
                "they keep their data in different places: the new one would start without the existing flow runs",
                f"keep runtime: {found}; or dump the database, run `fab undeploy` (it keeps all data), then deploy",
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")
