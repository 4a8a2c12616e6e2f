"""Listeners: what receives the events of a run, and what they receive at its start and end."""

from __future__ import annotations

from collections.abc import Sequence

from encamp.output.outcome import Outcome
from encamp.shared.record import record
from encamp.transport.events import HostEvent


@record
class Head:
    """What a run is: the command, the inventory's path, the names of the hosts, and whether it is a check."""

    command: str
    inventory: str = ""
    hosts: tuple[str, ...] = ()
    check: bool = False


@record
class RunError:
    """What stopped a run as a whole; ``where`` is a file and line."""

    reason: str
    cause: str = ""
    fix: str = ""
    where: str = ""


@record
class Recap:
    """How a run ended: every host, the exit code, seconds, and what stopped the run as a whole, if anything did."""

    head: Head
    outcomes: Sequence[Outcome]
    code: int
    seconds: float
    error: RunError | None = None


class Listener:
    """Receives everything that happens, from several threads at once. ``begin`` comes first, ``close`` last, once."""

    def begin(self, head: Head) -> None:
        """The run starts."""

    def expect(self, outcomes: Sequence[Outcome]) -> None:
        """Hosts that will be worked on; their outcomes are filled in as the run goes."""

    def event(self, host: str, event: HostEvent) -> None:
        """One event of a host: of its agent, or of the controller about it."""

    def ended(self, outcome: Outcome) -> None:
        """A host is done, or a stage of it."""

    def close(self, recap: Recap) -> None:
        """The run is over."""
