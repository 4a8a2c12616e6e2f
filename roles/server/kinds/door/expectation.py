"""That a server is not shut for maintenance."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System
from roles.prefect.kinds.door.doorway import Doorway


@kind
class DoorOpen(Resource):
    """A server that is not shut for maintenance (`fab maintenance on`); otherwise refused.

    ``server``: its unit.
    """

    changes_host: ClassVar[bool] = False

    server: str

    def check(self, host: Reader) -> list[Change]:
        found = Doorway(self.server).found(host)
        if found:
            raise Refused(
                f"{self.server} is {found}",
                "nothing can be started or checked behind its door, which `fab maintenance on` or a restore has shut",
                "end the maintenance first: `fab -H HOST maintenance off`",
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")
