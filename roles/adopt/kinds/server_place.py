"""The place of a server on a host: nothing else has its port or its unit, and no takeover stands half done."""

from __future__ import annotations

from typing import ClassVar, Optional, Sequence

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

    For a Prefect server that was set up by hand: what it is, what it holds, and the command that continues it. Refused,
    too, while a takeover is not finished and the inventory no longer declares it. ``unit`` is encamp's own; empty: one
    of a stack. ``bind``, ``container``: as for ``FreePort``. ``host``: what the inventory calls the host.
    """

    changes_host: ClassVar[bool] = False

    port: int
    unit: str
    instance: str
    host: str
    bind: str = ""
    container: str = ""

    def refuse(self, host: Reader) -> None:
        try:
            owners.refuse_foreign(host, self.unit, MARK.decode())
        except Refused as refused:
            raise self._explained(host, refused) from None

    def check(self, host: Reader) -> list[Change]:
        if host.stat(f"{ADOPTED}/{self.instance}/record.json") is not None:
            self._refuse_open(host)
        try:
            return FreePort(self.port, self.unit, self.bind, container=self.container).check(host)
        except Refused as refused:
            raise self._explained(host, refused) from None

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _refuse_open(self, host: Reader) -> None:
        """Without its step in the plan a takeover would end by its timer: the old server would start again."""
        from roles.adopt.kinds.adoption import OPEN, adoption_of

        adoption = adoption_of(host, self.instance)
        if adoption and adoption.state in OPEN:
            raise Refused(
                f"{adoption.name} is not taken over yet (state {adoption.state}), and the inventory no longer says "
                f"adopt: {adoption.name}",
                "adopt: may be removed when a deploy has ended well",
                f"set adopt: {adoption.name} again and deploy; or `fab -H {self.host} adopt --undo`, which starts it "
                "again",
            )

    def _explained(self, host: Reader, refused: Refused) -> Refused:
        """The refusal, with what a hand-made server in this place is and holds."""
        found = self._hand_made(host)
        if found is None:
            return refused
        text, stop = found
        here = f"stop it for good (`{stop}` stops it now)" if stop else "move its unit away"
        return Refused(
            f"{refused.reason}. It is a Prefect server that encamp did not set up: {text}",
            refused.cause,
            f"`fab -H {self.host} adopt` continues it with its data; else {here}, or give the declared one another "
            "port: and name (an instance of its own, instances:)",
        )

    def _hand_made(self, host: Reader) -> Optional[tuple[str, str]]:
        """What stands in this place, and the command that stops it; None for anything but a Prefect server."""
        from encamp.resources.base import Failure
        from roles.adopt.kinds.found import found_servers
        from roles.adopt.kinds.obstacles import stop_command

        try:
            servers = found_servers(host)
        except Failure:
            return None  # the refusal itself says enough
        by_unit = [each for each in servers if each.name == self.unit]
        by_port = [each for each in servers if each.running and each.port == self.port]
        found = next(iter([*by_unit, *by_port]), None)
        return (str(found), stop_command(host, found)) if found else None
