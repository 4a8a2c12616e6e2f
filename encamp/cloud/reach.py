"""Whether a port answers from this machine: the only proof of what stands between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from encamp.cloud.step import ControllerResource, Undecided
from encamp.resources.base import Change, kind
from encamp.resources.system import Reader, System
from encamp.support import reaching


@kind
class ReachableFromHere(ControllerResource):
    """A port that accepts connections from this machine, at the address that clients use.

    ``by_hand`` are the lines that open it in the cloud's firewall, for people. ``sources`` are the networks that alone
    may reach it (none: all). Never changes anything.
    """

    changes_host: ClassVar[bool] = False

    name: str
    address: str
    port: int
    host: str
    by_hand: str = ""
    sources: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        found = reaching.attempt(self.address, self.port)
        if found.result == "open":
            return []
        raise Undecided(
            f"{self.address}:{self.port} does not answer this machine: {found.text}",
            f"{self._unlisted}the cloud's firewall is closed, or the address leads elsewhere",
            f"`fab -H {self.host} doctor` finds where packets are lost{self._advice}",
        )

    @property
    def _unlisted(self) -> str:
        return f"this machine is not in allowed_sources ({', '.join(self.sources)}), " if self.sources else ""

    @property
    def _advice(self) -> str:
        return f"; to open the port:\n{self.by_hand}" if self.by_hand else ""

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("a proof never changes anything")
