"""The place of a server on a host: nothing else has its port or its unit, and no takeover stands half done."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.ownership import MARK
from encamp.resources.probes.free_port import FreePort
from encamp.resources.system import Reader, System
from encamp.resources.systemd import owners

#: As roles.adopt.kinds.adoption has it, which a host without an adoption is not sent.
ADOPTED = "/var/lib/encamp/adopted"


@kind
class ServerPlace(Resource):
    """That the port and the unit of a server are free, or encamp's own. Otherwise refused, with what stands there.

    Of a Prefect server that was set up by hand it says what it is, what it holds, and the command that continues it; a
    unit of the owner's is refused by the step that would write it, with these words. Refused, too, while a takeover is
    not finished and the inventory no longer declares it. ``unit`` is encamp's own. ``bind``, ``container``,
    ``socket``: as for ``FreePort``. ``host``: what the inventory calls the host.
    """

    changes_host: ClassVar[bool] = False

    port: int
    unit: str
    instance: str
    host: str
    bind: str = ""
    container: str = ""
    socket: str = ""

    def check(self, host: Reader) -> list[Change]:
        if host.stat(f"{ADOPTED}/{self.instance}/record.json") is not None:
            from roles.adopt.kinds.in_the_way import refuse_open

            refuse_open(host, self.instance, self.host)
        if owners.is_foreign(host, self.unit, MARK.decode()):
            # The step that writes the unit refuses, with all else that is the owner's; here what it runs is known.
            from roles.adopt.kinds.in_the_way import explain_unit

            explain_unit(host, self.unit, self.host)
        try:
            return FreePort(self.port, self.unit, self.bind, container=self.container, socket=self.socket).check(host)
        except Refused as refused:
            from roles.adopt.kinds.in_the_way import explained

            raise explained(host, refused, self.port, self.host) from None

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")
