"""What an undeploy leaves of an adoption: the way back."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System

#: What becomes of the old server when encamp's has been removed, by the state of its adoption.
_AFTER = {
    "taking": "it starts again by itself within 20 minutes",
    "taken": "it starts again by itself within 20 minutes",
    "done": "it stays stopped, with its data as it was when it was stopped",
    "returning": "it is being started again",
}


@kind
class AdoptionKept(Resource):
    """The record of a server that the removed instance continued: kept, and named with the command that starts it.

    ``instance`` is its name, ``host`` what the inventory calls the host.
    """

    changes_host: ClassVar[bool] = False

    instance: str
    host: str

    def check(self, host: Reader) -> list[Change]:
        from roles.adopt.kinds.adoption import adoption_of

        adoption = adoption_of(host, self.instance)
        if adoption is not None and adoption.state in _AFTER:
            more = "" if self.instance == "default" else f" --instance {self.instance}"
            host.note(
                f"{adoption.name}, which this instance continued, is kept: {_AFTER[adoption.state]}. "
                f"`fab -H {self.host} adopt --undo{more}` starts it"
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("a look never changes a host")
